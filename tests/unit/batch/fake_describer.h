/* fake_describer.h - stands in for client/describe/describer.c: reads signatures from the "source"
 * itself, a line for each function, so that tests say what they need where they need it:
 *
 *	train: data lr=0.1 .epochs=3     any, any with a default, by name only
 *	add: /a *rest **more             by position only, *args, **kwargs
 *	odd~ x                           may be called otherwise: not exact
 *	late: x=?                        a default that is no literal
 *	bad! what is wrong with it       at 12:7
 *	warns: x # what it warns of
 *	import other.py                  ships that file too
 *
 * A function is its line; a script is the whole file. */
#pragma once

extern unsigned fake_runs; /* of processes, if it were the real one */
