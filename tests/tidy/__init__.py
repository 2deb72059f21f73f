"""The documents are true: generated pages, examples, links."""
