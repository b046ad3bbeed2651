"""From one place to another, with nothing lost on the way.

copying     personas from one store into another: planned, shown, carried out or taken back
document    personas as one JSON document, out and in
cards       personas as character cards, out and in
migration   everything from one database into another, verified
"""
