"""Read a page or a picture as a parser of HTML does; elements that are not closed in order are a fault.

In: markup. Out: its elements with their attributes, its texts, the positions of its curves.
"""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "col", "hr"}


class Reader(HTMLParser):
    """Elements with their attributes and text; open elements must be closed in order."""

    def __init__(self):
        super().__init__()
        self.elements, self.open, self.texts, self.faults = [], [], [], []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name):
        if not self.open or self.open.pop() != name:
            self.faults.append(name)

    def handle_data(self, text):
        self.texts.append(text)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.faults == []
    assert reader.open == []
    return reader


def named(reader, name):
    return [attributes for element, attributes in reader.elements if element == name]


def points(reader, which=0):
    """Positions along the curve of that number."""
    text = [line["points"] for line in named(reader, "polyline")][which]
    return [tuple(map(float, pair.split(","))) for pair in text.split()]
