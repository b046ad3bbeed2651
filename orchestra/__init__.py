"""Orchestra: a chat in which three personas answer, each with a voice and a memory of its own.

A map of the house, from the street to the cellar. Imports only ever go down.

    cli, api, screen        the doors: terminal, HTTP, browser
    assembly                opens every part in order of use, closes them in reverse
    house                   the opened parts by name, and how each of them is
    parts                   each part by itself, with the adapter that the settings pick
    conversation            the journey of a message: route, recall, compose, stream, remember
    transfer                personas and whole databases from one place into another
    personas                who answers; edited by people while the house is open
    routing                 which of them a message is for
    memory                  what each of them decided before, per person
    prompts                 every word that is sent to a model
    accounts                who may come in
    llm                     the wire to a language model, the embedded model, text embeddings
    database                the engine and its tables
    types                   the nouns; no I/O
    settings, errors        what can be set, what can go wrong

Read `orchestra/conversation.py` first: it is the product in one function.
"""
