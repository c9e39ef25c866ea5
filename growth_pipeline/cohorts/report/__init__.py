"""Published retention as people read it: one document, from which Markdown and HTML are written."""
