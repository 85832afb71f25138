"""The rules that risk holds an order to, each by what it needs to know; `judging` calls them in their order."""
