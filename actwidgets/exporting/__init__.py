"""`actwidgets export`: what layers put out, as files, for scripts and CI."""
