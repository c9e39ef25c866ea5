"""What is generated from the catalogue: JSON Schema, types for TypeScript, the page of the docs."""
