"""The modules of cashet-runner-python. From the outside in:

    program      the command line; guard: what could crash the interpreter happens in a child
    describe     targets in, the answer of docs/runners.md out; signature, answer: its parts
    reach        which definitions the entry reaches, in which order: the canonical form
    units        one top-level statement: its canonical text, and what it refers to
    canon        syntax to canonical text; grammar: the table of nodes; scopes: whose a name is
    dynamic      calls that cannot be followed, warned about by name
    module       the top level of one file; effects: what its statements do when it is imported
    finder       module names to files; installed: what pip put there; stdlib: names of Python's own
    source       bytes to a tree; problems: errors and warnings

Nothing of these imports, compiles to code, or executes what it describes. For workers:

    serve        calls functions: the loop; channel: its frames
    arguments    bytes to values; results: values to bytes; failures: exceptions to errors
    views        whose modules are visible; environment: what the interpreter would find by itself
    folders      where calls work, what they print; process: what is put back between calls
    isolation    a call in a child
"""
