/* drawing.h - the progress of what takes long: a line on a terminal that is drawn over. */
#pragma once

#include "client/cli/cli.h"

struct drawing {
	const struct cli *cli;
	uint64_t drawn_ns;
	bool is_drawn;
};

/** drawing_draw() - of struct cashet_care_options, with a struct drawing. */
void drawing_draw(void *arg, const struct cashet_care_progress *p);
void drawing_wipe(struct drawing *d);
