"""Starting, watching and ending the pipeline on one machine: demo, serve, dev, doctor.

The floor under the command line. No rule of the business belongs here, and no printing.
"""
