"""Networks: losses."""
