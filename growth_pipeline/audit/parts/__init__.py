"""The parts of an audit beside the payments: what each object type is judged by."""
