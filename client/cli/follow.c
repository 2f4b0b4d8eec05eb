/* follow.c - the progress line: on a terminal one line that is drawn over, at most ten times a
 * second; otherwise a plain line when something changed, at most one a second, and the last. */
#include "client/cli/cli.h"

#include "common/clock.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR 20
#define BAR_LEAST 60 /* columns of a terminal that has room for it */
#define DRAW_NS (NS_PER_S / 10)
#define PLAIN_NS NS_PER_S
#define DETACH_NS (10 * NS_PER_S) /* as long as a command tries to connect */
#define FAILURES_MAX 50		  /* that get a line of their own */
#define RATE_WINDOW_NS (10 * NS_PER_S)
#define SAMPLES 64

struct follow {
	struct cli *cli;
	bool submitted, named; /* print the batch's name; was printed */
	bool line_is_drawn, said_lost;
	bool paused;
	char *note; /* why it does not get on, as printed last */
	unsigned failures;
	uint64_t failures_left_out;
	struct cashet_counts last; /* that a plain line showed */
	bool shown;
	uint64_t shown_ns;
	struct {
		uint64_t at_ns, ended;
	} samples[SAMPLES]; /* a ring: what had ended when, not counting hits */
	unsigned sample_count, sample_next;
};

int follow_outcome(const struct cashet_counts *c)
{
	return c->failed || c->skipped || c->cancelled ? CASHET_FAILED : 0;
}

static uint64_t ended(const struct cashet_counts *c)
{
	return c->cached + c->executed + c->deduplicated + c->failed + c->skipped +
	       c->cancelled;
}

/* Tasks per second over the last seconds; 0 when that cannot be said yet. */
static double measure_rate(struct follow *f, const struct cashet_counts *c)
{
	uint64_t now = clock_mono_ns(), done = ended(c) - c->cached;
	unsigned last = (f->sample_next + SAMPLES - 1) % SAMPLES;
	if (!f->sample_count ||
	    now - f->samples[last].at_ns >= RATE_WINDOW_NS / SAMPLES) {
		f->samples[f->sample_next].at_ns = now;
		f->samples[f->sample_next].ended = done;
		f->sample_next = (f->sample_next + 1) % SAMPLES;
		f->sample_count += f->sample_count < SAMPLES;
	}
	unsigned oldest = (f->sample_next + SAMPLES - f->sample_count) % SAMPLES;
	uint64_t span = now - f->samples[oldest].at_ns;
	if (span < NS_PER_S / 5 || done <= f->samples[oldest].ended)
		return 0;
	return (double)(done - f->samples[oldest].ended) * NS_PER_S / (double)span;
}

static void add_eta(struct buf *out, double seconds)
{
	uint64_t s = seconds > 1e9 ? 1000000000 : (uint64_t)(seconds + 0.5);
	if (s >= 3600)
		buf_printf(out, "  eta %" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600,
			   s / 60 % 60, s % 60);
	else
		buf_printf(out, "  eta %" PRIu64 ":%02" PRIu64, s / 60, s % 60);
}

static void make_line(struct follow *f, const struct cashet_progress *p, bool bar,
		      struct buf *out)
{
	const struct cashet_counts *c = &p->counts;
	uint64_t done = ended(c);
	buf_printf(out, "%.*s  ", SHORT_HASH, p->batch);
	if (bar) {
		unsigned full = c->total ? (unsigned)(BAR * done / c->total) : 0;
		for (unsigned i = 0; i < BAR; i++)
			buf_add_byte(out, i < full ? '#' : '.');
		buf_add_str(out, "  ");
	}
	buf_printf(out, "%" PRIu64 "/%" PRIu64, done, c->total);
	if (c->cached)
		buf_printf(out, "  cached %" PRIu64, c->cached);
	if (c->running)
		buf_printf(out, "  running %" PRIu64, c->running);
	if (c->failed)
		buf_printf(out, "  failed %" PRIu64, c->failed);
	if (c->skipped)
		buf_printf(out, "  skipped %" PRIu64, c->skipped);
	if (c->cancelled)
		buf_printf(out, "  cancelled %" PRIu64, c->cancelled);
	if (p->ended)
		return;
	double rate = measure_rate(f, c);
	if (rate > 0) {
		buf_printf(out, rate < 10 ? "  %.1f/s" : "  %.0f/s", rate);
		add_eta(out, (double)(c->total - done) / rate);
	}
	if (!p->connected)
		buf_add_str(out, "  (waiting for the broker)");
}

static void clear_line(struct follow *f)
{
	if (f->line_is_drawn)
		fputs("\r\033[K", stderr);
	f->line_is_drawn = false;
}

static void draw_line(struct follow *f, const struct cashet_progress *p)
{
	CLEANUP_BUF struct buf line = {0};
	struct winsize size;
	int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col
			    ? size.ws_col
			    : 80;
	make_line(f, p, width >= BAR_LEAST, &line);
	fprintf(stderr, "\r\033[K%.*s", width - 1, buf_cstr(&line));
	f->line_is_drawn = true;
	fflush(stderr);
}

static void plain_line(struct follow *f, const struct cashet_progress *p)
{
	uint64_t now = clock_mono_ns();
	bool changed = !f->shown || memcmp(&f->last, &p->counts, sizeof f->last);
	if (!changed || (f->shown && !p->ended && now - f->shown_ns < PLAIN_NS))
		return;
	CLEANUP_BUF struct buf line = {0};
	make_line(f, p, false, &line);
	cli_note(f->cli, "%s", buf_cstr(&line));
	f->last = p->counts;
	f->shown = true;
	f->shown_ns = now;
}

/* "x train[lr=0.1,seed=2]  exit 1 on node-2 (attempt 3/3)   cashet logs b7f3:12" */
static void print_failure(struct follow *f, const char *batch,
			  const struct cashet_notice *n)
{
	CLEANUP_BUF struct buf line = {0};
	struct cashet_results *one = NULL;
	const struct cashet_result *r = NULL;
	const char *red = f->cli->color_err ? "\033[31m" : "",
		   *plain = *red ? "\033[0m" : "";
	if (cashet_result_one(f->cli->c, batch, n->index, &one, &r, NULL))
		r = NULL;
	buf_printf(&line, "%sx%s ", red, plain);
	show_title(&line, n->name, r ? r->params : NULL, r ? r->param_count : 0);
	buf_add_str(&line, "  ");
	text_escape(&line, n->error, strlen(n->error));
	if (*n->worker) {
		buf_add_str(&line, " on ");
		text_escape(&line, n->worker, strlen(n->worker));
	}
	if (n->attempts)
		buf_printf(&line, " (attempt %" PRIu32 "/%" PRIu32 ")", n->attempt,
			   n->attempts);
	buf_printf(&line, "   cashet logs %.*s:%" PRIu32, SHORT_HASH, batch, n->index);
	cashet_results_close(one);
	cli_note(f->cli, "%s", buf_cstr(&line));
}

static void print_notices(struct follow *f, const struct cashet_progress *p)
{
	f->failures_left_out += p->notices_left_out;
	for (size_t i = 0; i < p->notice_count; i++) {
		if (!p->notices[i].final)
			continue;
		if (f->failures++ >= FAILURES_MAX) {
			f->failures_left_out++;
			continue;
		}
		clear_line(f);
		print_failure(f, p->batch, &p->notices[i]);
	}
}

static void print_name(struct follow *f, const char *batch)
{
	if (f->named || !f->submitted || f->cli->settings.json)
		return;
	clear_line(f);
	f->named = true;
	if (f->cli->name_is_chatter) {
		cli_note(f->cli, "%.*s", SHORT_HASH, batch);
		return;
	}
	printf("%.*s\n", SHORT_HASH, batch);
	fflush(stdout);
}

/* Why a batch pauses is said at the end, with what to do. */
static void print_note(struct follow *f, const struct cashet_progress *p)
{
	if (!*p->note || strcmp(p->note, f->note ? f->note : "") == 0)
		return;
	free(f->note);
	f->note = mem_strdup(p->note);
	if (p->paused || f->cli->settings.quiet)
		return;
	CLEANUP_BUF struct buf line = {0};
	text_escape(&line, p->note, strlen(p->note));
	clear_line(f);
	cli_note(f->cli, "waiting: %s", buf_cstr(&line));
}

static int on_progress(void *arg, const struct cashet_progress *p)
{
	struct follow *f = arg;
	if (p->known)
		print_name(f, p->batch);
	/* Nothing else would ever happen: the rest waits for a decision. */
	if (p->paused && !p->ended && !p->counts.running)
		f->paused = true;
	print_note(f, p);
	if (f->cli->settings.quiet)
		return f->paused;
	print_notices(f, p);
	if (!p->connected && !f->said_lost && p->known) {
		clear_line(f);
		cli_note(f->cli, "the broker is gone; the batch is safe, waiting for it "
				 "to come back");
	}
	f->said_lost = !p->connected;
	if (!p->known)
		return 0;
	if (!f->cli->tty_err)
		plain_line(f, p);
	else if (!p->ended)
		draw_line(f, p);
	return f->paused;
}

static void print_left_out(struct follow *f)
{
	if (f->failures_left_out)
		cli_note(f->cli, "x and %" PRIu64 " more failures", f->failures_left_out);
}

/* Ctrl-C: the batch goes on, if the broker has it. A second one does not wait to find out, and nor does
 * the first for long: who sends SIGTERM sends no second one, and the broker may be gone for good. */
static int detach(struct follow *f, const char *batch)
{
	struct cashet_error e;
	cli_forget_interrupt(DETACH_NS);
	if (f->submitted && !f->named)
		cli_note(f->cli, "waiting for the broker to accept the batch; interrupt "
				 "again to leave at once");
	if (f->submitted && cashet_sync(f->cli->c, &e)) {
		cli_note(f->cli, "interrupted before the broker had accepted the batch");
		return CASHET_DETACHED;
	}
	print_name(f, batch);
	if (*batch)
		cli_note(f->cli,
			 "detached; the batch goes on. To come back: cashet wait %.*s; "
			 "to stop "
			 "it: cashet cancel %.*s",
			 SHORT_HASH, batch, SHORT_HASH, batch);
	return CASHET_DETACHED;
}

static void print_paused(struct cli *cli, const char *note, const char *batch)
{
	CLEANUP_BUF struct buf why = {0};
	if (!note || !*note)
		note = "the first tasks all failed";
	text_escape(&why, note, strlen(note));
	cli_note(cli,
		 "paused: %s, so the rest was not begun. To go on: cashet retry %.*s; to "
		 "give up: cashet cancel %.*s",
		 buf_cstr(&why), SHORT_HASH, batch, SHORT_HASH, batch);
}

int follow_batch(struct cli *cli, const char *batch, bool submitted, uint64_t timeout_ns,
		 struct cashet_counts *counts, bool *pausedp)
{
	struct follow f = {.cli = cli, .submitted = submitted};
	struct cashet_error e;
	struct cashet_wait_options options = {
		.timeout_ns = timeout_ns,
		.progress = on_progress,
		.arg = &f,
		.interval_ns = cli->tty_err && !cli->settings.quiet ? DRAW_NS : PLAIN_NS,
	};
	int r = cashet_wait(cli->c, batch, &options, counts, &e);
	clear_line(&f);
	print_left_out(&f);
	*pausedp = f.paused;
	CLEANUP_FREE char *note = steal(f.note);
	if (r == CASHET_DETACHED && f.paused)
		r = 0;
	if (r == CASHET_DETACHED)
		return detach(&f, batch);
	if (r)
		return cli_fail(cli, &e);
	if (submitted && cashet_sync(cli->c, &e))
		return cli_fail(cli, &e);
	print_name(&f, batch);
	if (f.paused)
		print_paused(cli, note, batch);
	return 0;
}
