"""The rights that the page about security gives to a user of the store."""

from tests.docs.pages import DOCS, blocks

__all__ = ["PASSWORD", "SECURITY_PAGE", "documented"]

SECURITY_PAGE = DOCS / "explanation" / "security.md"
PASSWORD = "a-password"


def documented(*names: str) -> list[str]:
    """The words of the page's blocks of these names, one block after the other."""
    texts = {block.name: block.text for block in blocks(SECURITY_PAGE) if block.language == "text"}
    return [word for name in names for word in texts[name].replace("PASSWORD", PASSWORD).split()]
