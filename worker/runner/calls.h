/* calls.h - attempts that are calls: what they need before they start, and what they come to. */
#pragma once

#include "worker/runner/runner.h"
#include "worker/runner/source.h"

/** calls_admit() - its function is known: find its kind, and have its source checked, if the function has
 * one. UNKNOWN -> SOURCE, WAITING, or DONE. */
void calls_admit(struct worker *w, struct attempt *a);
/** calls_release() - kind and source are not needed any more. */
void calls_release(struct attempt *a);
/** calls_answered() - FRAME_DONE or FRAME_ERROR of the oldest call of @r; detached already. */
void calls_answered(struct worker *w, struct runner *r, struct attempt *a,
		    const struct frame *f);
/** calls_died() - the runner ended in the middle of it, with this fault or by itself; detached. */
void calls_died(struct worker *w, struct runner *r, struct attempt *a, const char *fault,
		const struct slot_report *report);
/** calls_return() - it was not begun, or was ended for another's sake: it waits again; detached. */
void calls_return(struct worker *w, struct attempt *a);
/** calls_refuse() - a report for one that cannot run. @text: the first line is the error; if there are
 * more, all of it goes to its standard error. */
void calls_refuse(struct worker *w, struct attempt *a, Cashet__Outcome__Kind kind,
		  const char *text);
