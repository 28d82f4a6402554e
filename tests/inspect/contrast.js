// The contrast of every text that can be seen, by the formula of WCAG 2.1; returns what has too little.
const least = 4.5;
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

function parts(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}

function luminance([red, green, blue]) {
  const [r, g, b] = [red, green, blue].map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function ground(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = parts(getComputedStyle(at).backgroundColor);
    if (colour[3] === 255) {
      return colour;
    }
  }
  return [255, 255, 255, 255];
}

function ratio(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

const seen = [];
for (const element of document.querySelectorAll("body *")) {
  const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
  const pairs = [];
  if (text && element.checkVisibility() && !element.closest("svg")) {
    pairs.push([text, getComputedStyle(element).color, ground(element)]);
  }
  if (element.placeholder) {
    pairs.push([element.placeholder, getComputedStyle(element, "::placeholder").color, ground(element)]);
  }
  for (const [what, colour, behind] of pairs) {
    seen.push([what.slice(0, 40), ratio(parts(colour), behind)]);
  }
}
return { count: seen.length, poor: seen.filter(([, found]) => found < least) };
