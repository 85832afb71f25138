"""The paper venue: orders matched against the live market, from memory alone."""
