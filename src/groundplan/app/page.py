"""What a page function returns."""

from typing import Any


class Page:
    """A template and its data. Rendering happens in the web role, after the function has returned."""

    def __init__(self, template: str, *, status: int = 200, **data: Any) -> None:
        self.template = template
        self.status = status
        self.data = data


class Redirect:
    """303 See Other: the browser follows with a GET."""

    def __init__(self, url: str, *, status: int = 303) -> None:
        self.url = url
        self.status = status
