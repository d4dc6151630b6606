"""Bytes on disk: the journal while a run is under load, Parquet and a manifest when it is over."""
