/* ask.c - one process for a group of targets, and what it says of each. */
#include "client/describe/inside.h"

#include "client/describe/answer.h"
#include "client/describe/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define ANSWER_MAX (64u << 20)
#define STATUS_WRONG_CALL 2
#define TIME_NS (120 * NS_PER_S)
#define TIME_TARGET_NS (100 * NS_PER_MS)

static int no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED, "out of memory");
}

void describe_no_program(struct describer *d, struct describe_group *g, const char *name,
			 const char *message, const char *next)
{
	for (size_t i = 0; i < g->count; i++) {
		struct wanted *w = g->items[i];
		w->d.no_program = true;
		w->d.ok = false;
		w->answered = true;
		w->d.error = (struct described_warning){
			.name = name,
			.message = arena_text(&d->arena, message, strlen(message)),
			.subject = arena_text(&d->arena, next, strlen(next)),
			.file = ""};
		if (!w->d.error.message)
			w->d.error.message = "out of memory";
		if (!w->d.error.subject)
			w->d.error.subject = "";
	}
}

/* ---- reading answers */

static int unreadable(struct describer *d, struct wanted *w, const char *wrong)
{
	const char *program = w->language->program;
	const char *target = w->d.target;
	struct source_unit unit = {.language = w->d.unit.language,
				   .flags = (char **)(uintptr_t)w->t.flags,
				   .flag_count = w->t.flag_count};
	w->d = (struct described){.target = target, .unit = unit, .no_program = true};
	w->d.error = (struct described_warning){
		.name = "answer",
		.message =
			arena_printf(&d->arena, "what %s says of it cannot be read: %s",
				     program, wrong),
		.subject = "install the same version of cashet and of its runners",
		.file = ""};
	w->answered = true;
	return w->d.error.message ? 0 : ERR_FAILED;
}

/* remember() - the row, but for what was looked at. */
static void remember(struct describer *d, struct wanted *w, const struct answer_row *row)
{
	CLEANUP_BUF struct buf text = {0};
	if (!w->has_key || !w->d.ok || !row->looked_size)
		return;
	buf_add(&text, row->text, row->looked_at);
	buf_add_str(&text, "null");
	size_t behind = row->looked_at + row->looked_size;
	buf_add(&text, row->text + behind, row->size - behind);
	if (!text.failed)
		recall_put(&d->recall, w->key, w->d.version, &text,
			   row->text + row->looked_at, row->looked_size);
}

static int read_answer(struct describer *d, struct describe_group *g,
		       const struct answer *a, struct err *e)
{
	char wrong[200];
	for (size_t i = 0; i < g->count; i++) {
		struct wanted *w = g->items[i];
		const struct answer_row *row = &a->rows[i];
		w->d.version = a->version;
		int r = answer_read(row->text, row->size, &d->arena, &w->d, wrong);
		if (r == ERR_USAGE)
			r = unreadable(d, w, wrong);
		if (r)
			return no_memory(e);
		if (!w->answered)
			remember(d, w, row);
		w->answered = true;
	}
	return 0;
}

/* ---- asking */

#define ARGS_FIXED 8

static const char **make_argv(const struct describer *d, const struct describe_group *g)
{
	const struct describe_target *t = &g->items[0]->t;
	const char **argv = calloc(ARGS_FIXED + 2 * t->flag_count, sizeof *argv);
	size_t n = 0;
	if (!argv)
		return NULL;
	argv[n++] = g->program;
	if (g->python) {
		argv[n++] = "--python";
		argv[n++] = g->python;
	}
	argv[n++] = "describe";
	argv[n++] = "--root";
	argv[n++] = d->options.folder;
	for (size_t i = 0; i < t->flag_count; i++) {
		argv[n++] = "--flag";
		argv[n++] = t->flags[i];
	}
	if (t->canonical)
		argv[n++] = "--canonical";
	argv[n++] = "-";
	return argv;
}

/* first_line() - of what it said, for a message. */
static void first_line(const struct buf *said, struct buf *out)
{
	size_t size = 0;
	while (size < said->size && said->data[size] != '\n' && size < 300)
		size++;
	buf_add(out, said->data, size);
}

static void add_end(struct buf *text, const struct process_end *end)
{
	if (end->error)
		buf_printf(text, " cannot be run: %s", strerror(end->error));
	else if (end->timed_out)
		buf_add_str(text, " did not answer in time");
	else if (end->too_large)
		buf_printf(text, " answers with more than %u MiB", ANSWER_MAX >> 20);
	else if (end->has_status && WIFSIGNALED(end->status))
		buf_printf(text, " was killed by signal %d", WTERMSIG(end->status));
	else if (end->has_status)
		buf_printf(text, " ended with exit status %d", WEXITSTATUS(end->status));
	else
		buf_add_str(text, " did not answer");
}

/* is_refusal() - a flag or an interpreter that it does not take: what is wrong is the call, not the program. */
static bool is_refusal(const struct process_end *end)
{
	return end->has_status && WIFEXITED(end->status) &&
	       WEXITSTATUS(end->status) == STATUS_WRONG_CALL && !end->output.size &&
	       end->said.size;
}

/* refused() - with its own words, but for whose they are and where there are more. */
static void refused(struct describer *d, struct describe_group *g,
		    const struct process_end *end)
{
	CLEANUP_BUF struct buf text = {0};
	const char *name = g->items[0]->language->program;
	first_line(&end->said, &text);
	const char *words = buf_cstr(&text);
	if (!strncmp(words, name, strlen(name)) &&
	    !strncmp(words + strlen(name), ": ", 2))
		words += strlen(name) + 2;
	char *more = strstr(words, "; cashet-runner-");
	if (more)
		*more = '\0';
	describe_no_program(d, g, "refused", words,
			    g->python ? "--python or python: names an interpreter, of "
					"Python 3.9 or newer"
				      : "");
	for (size_t i = 0; i < g->count; i++)
		g->items[i]->d.no_program = g->python != NULL;
}

/* went_wrong() - there is no answer, or none that can be read. */
static void went_wrong(struct describer *d, struct describe_group *g,
		       const struct process_end *end, const char *wrong)
{
	CLEANUP_BUF struct buf text = {0};
	if (!wrong && is_refusal(end)) {
		refused(d, g, end);
		return;
	}
	buf_add_str(&text, g->program);
	if (wrong)
		buf_printf(&text, " gave an answer that cannot be read: %s", wrong);
	else
		add_end(&text, end);
	if (end->said.size) {
		buf_add_str(&text, "; it said: ");
		first_line(&end->said, &text);
	}
	describe_no_program(
		d, g, "runner", buf_cstr(&text),
		g->items[0]->language->name[0] == 'p'
			? "it needs Python 3.9 or newer; --python or python: names an "
			  "interpreter"
			: "install the same version of cashet and of its runners");
}

static int run(struct describer *d, struct describe_group *g, struct process_end *end,
	       struct err *e)
{
	CLEANUP_BUF struct buf input = {0};
	const char **argv = make_argv(d, g);
	for (size_t i = 0; i < g->count; i++)
		buf_printf(&input, "%s\n", g->items[i]->line);
	if (!argv || input.failed) {
		free(argv);
		return no_memory(e);
	}
	struct process_call call = {
		.argv = argv,
		.folder = d->options.folder,
		.input = input.data,
		.input_size = input.size,
		.output_max = ANSWER_MAX,
		.time_ns = d->options.time_ns ? d->options.time_ns
					      : TIME_NS + g->count * TIME_TARGET_NS,
		.idle = d->options.idle,
		.idle_arg = d->options.idle_arg,
	};
	int r = process_run(&call, end, e);
	free(argv);
	return r;
}

/* halves() - one target may have much to say, many have too much for one answer. */
static int halves(struct describer *d, const struct describe_group *g, struct err *e)
{
	int r = 0;
	size_t middle = g->count / 2;
	for (int part = 0; r == 0 && part < 2; part++) {
		struct describe_group half = {.program = g->program, .python = g->python};
		size_t from = part ? middle : 0, to = part ? g->count : middle;
		for (size_t i = from; i < to; i++)
			half.items[half.count++] = g->items[i];
		r = describe_ask(d, &half, e);
	}
	return r;
}

int describe_ask(struct describer *d, struct describe_group *g, struct err *e)
{
	CLEANUP(process_end_fini) struct process_end end = {0};
	CLEANUP(describe_answer_fini) struct answer a = {0};
	int r = run(d, g, &end, e);
	if (r)
		return r;
	if (end.too_large && g->count > 1)
		return halves(d, g, e);
	if (end.error || end.timed_out || end.too_large || !end.output.size) {
		went_wrong(d, g, &end, NULL);
		return 0;
	}
	r = answer_cut(&a, end.output.data, end.output.size, &d->arena);
	if (r == ERR_FAILED)
		return no_memory(e);
	if (r == 0 && a.count == g->count)
		return read_answer(d, g, &a, e);
	went_wrong(d, g, &end,
		   r ? a.wrong : "it is not about the targets that it was asked for");
	return 0;
}
