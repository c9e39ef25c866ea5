"""What an audit is told as: pages, tables, pictures, and how long they are kept."""
