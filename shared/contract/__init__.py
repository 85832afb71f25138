"""What is said between services and to the outside, each thing exactly once.

The words of the trade, one per thing: *venue* (where orders match), *symbol* (what is traded), *bar* (an interval
of trades), *quantity*, *fill* (a trade of ours), *submit*, *cancel*, *denied* (by risk), *rejected* (by a venue).
Prices, quantities and money are `Decimal`, strings in JSON. Times are integer nanoseconds UTC, named `*_ns`.
"""
