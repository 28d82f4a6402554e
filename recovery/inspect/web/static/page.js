"use strict";

// Keeps the page as it is on the server now. Asks again every two seconds, or after three times what an answer took;
// not while nobody sees the page, nor while it is paused. Without this script the page is right when it is loaded.
(() => {
  const pause = document.getElementById("pause");
  const pulse = document.getElementById("pulse");
  const search = document.getElementById("q");
  const LEAST = 2000;
  const LEAST_BUSY = 700; // while the server has not looked at all sessions yet
  const PATIENCE = 3;
  let paused = false;
  let timer = 0;
  let asking = false;

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && search && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    }
  });

  if (document.body.dataset.live !== "yes" || !pause) {
    return;
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    say(paused ? "paused" : "live", paused ? "Paused" : "Live");
    later(0);
  });
  document.addEventListener("visibilitychange", () => later(0));
  later(LEAST);

  function later(wait) {
    clearTimeout(timer);
    if (!paused && !document.hidden) {
      timer = setTimeout(ask, wait);
    }
  }

  async function ask() {
    if (asking) {
      return;
    }
    asking = true;
    const began = performance.now();
    let next = null;
    try {
      const response = await fetch(location.href, { cache: "no-store", redirect: "manual" });
      if (response.type === "opaqueredirect") {
        say("silent", "The token is needed again: load the page anew.");
        paused = true;
      } else {
        next = new DOMParser().parseFromString(await response.text(), "text/html");
        show(response.status, next);
      }
    } catch {
      say("silent", "The inspector does not answer.");
    }
    asking = false;
    const took = performance.now() - began;
    const busy = next !== null && next.getElementById("main")?.dataset.busy === "yes";
    later(busy ? Math.max(LEAST_BUSY, 2 * took) : Math.max(LEAST, PATIENCE * took));
  }

  function show(status, next) {
    const here = document.getElementById("main");
    const there = next.getElementById("main");
    if (paused || !there) {
      return;
    }
    if (status >= 500) { // what is there stays, and is not true any more
      say("silent", next.getElementById("said")?.textContent ?? "The inspector is in trouble.");
      return;
    }
    say("live", "Live");
    const chosen = getSelection();
    if (chosen && !chosen.isCollapsed && here.contains(chosen.anchorNode)) {
      return; // somebody is about to copy
    }
    morph(here, there);
    document.title = next.title;
  }

  function say(state, text) {
    pulse.dataset.state = state;
    if (pulse.textContent !== text) {
      pulse.textContent = text; // only then a screen reader speaks
    }
  }

  // Makes one element like another and keeps what is alike, so that focus, what is typed and what is open stay.
  function morph(here, there) {
    for (const { name } of [...here.attributes]) {
      if (!there.hasAttribute(name) && !isOurs(here, name)) {
        here.removeAttribute(name);
      }
    }
    for (const { name, value } of there.attributes) {
      if (here.getAttribute(name) !== value && !isOurs(here, name)) {
        here.setAttribute(name, value);
      }
    }
    const kept = new Map([...here.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = here.firstChild;
    for (const wanted of [...there.childNodes]) {
      const same = wanted.id ? kept.get(wanted.id) : isLike(at, wanted) ? at : null;
      if (!same) {
        here.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      if (same === at) {
        at = at.nextSibling;
      } else {
        here.insertBefore(same, at);
      }
      if (same.nodeType === Node.ELEMENT_NODE) {
        morph(same, wanted);
      } else if (same.data !== wanted.data) {
        same.data = wanted.data;
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function isLike(node, wanted) {
    return node !== null && node.nodeName === wanted.nodeName && !node.id && !wanted.id;
  }

  function isOurs(element, name) {
    return (name === "open" && element.nodeName === "DETAILS")
      || (["value", "checked", "selected"].includes(name) && ["INPUT", "OPTION"].includes(element.nodeName));
  }
})();
