"""The rules that risk holds an order to, each by what it needs to know; `core.judging` calls them in their order."""
