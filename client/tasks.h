/* tasks.h - batches that a program builds. */
#pragma once

#include "client/handle.h"

/** tasks_submit() - cashet_submit_many() with our kind of error. */
int tasks_submit(struct cashet *c, const struct cashet_task *tasks, size_t count,
		 const struct cashet_submit_options *options, char batch[CASHET_HEX_SIZE],
		 struct err *e);
