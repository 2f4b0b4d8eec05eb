/* watch.h - following a batch until it has ended. */
#pragma once

#include "client/handle.h"

/** watch_wait() - cashet_wait() with our kind of error. */
int watch_wait(struct cashet *c, const char *batch,
	       const struct cashet_wait_options *options, struct cashet_counts *counts,
	       struct err *e);
