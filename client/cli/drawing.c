/* drawing.c - see drawing.h. */
#include "client/cli/drawing.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DRAW_NS (NS_PER_S / 5)

void drawing_draw(void *arg, const struct cashet_care_progress *p)
{
	struct drawing *d = arg;
	uint64_t now = clock_mono_ns();
	if (!d->cli->tty_err || d->cli->settings.quiet || now - d->drawn_ns < DRAW_NS)
		return;
	CLEANUP_BUF struct buf line = {0};
	text_escape(&line, p->phase, strlen(p->phase));
	if (p->total)
		fprintf(stderr, "\r%s  %" PRIu64 "/%" PRIu64 "\033[K", buf_cstr(&line),
			p->done, p->total);
	else
		fprintf(stderr, "\r%s  %" PRIu64 "\033[K", buf_cstr(&line), p->done);
	fflush(stderr);
	d->drawn_ns = now;
	d->is_drawn = true;
}

void drawing_wipe(struct drawing *d)
{
	if (d->is_drawn)
		fprintf(stderr, "\r\033[K");
	d->is_drawn = false;
}
