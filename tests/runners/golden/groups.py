# except* and stars in an index, of Python 3.11.
def entry(a, *b: *tuple):
    try:
        a[*b], a[1, *b], a[*b, :]
    except* (ValueError, TypeError) as e:
        a = e
    except* OSError:
        pass
    else:
        a = 1
    finally:
        b = 2
