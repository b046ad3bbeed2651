"""Personas in a table in Notion.

wire      asks its API, patiently, and tells refusals in words
table     one table: its rows, their pages, its columns; read and changed
rows      a row and its page, read as their author meant them
edits     what has to be written so that row and page say what a persona is
cells     a persona, written as cells and as a page
store     rows into personas and back; what cannot be understood is served as it was
setup     makes the table, and says what is wrong with it
"""
