"""The digest: what is read from what other slices publish, as series and facts."""
