"""What risk decides, from memory alone.

gatekeeper   everything risk knows, and the verdicts that follow from it: begin to read here
rules        one judgement: the rules in their order, each by what it needs to know
findings     how what was found adds up to a verdict
controls     everything that limits orders, and what to keep of it over a restart
limits       what the scopes in reach of an order allow together
switches     kills, trading states, blocks, permissions, releases; and the alerts that tell of them
conduct      how much is sent, how often the same, how often too far off
losses       what was lost, and who is stopped for it
exposure     what accounts, strategies and the firm hold and have open
following    what the oms committed, taken up
market       the quotes an order is measured against
health       whether what is known is of now
people       what people see, and the doors through which they decide
evidence     the map from rule to clause to test
"""
