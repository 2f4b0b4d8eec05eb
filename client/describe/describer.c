/* describer.c - see describe.h: what is wanted, in groups that one process answers. */
#include "client/describe/describe.h"

#include "client/batch/map.h"
#include "client/describe/answer.h"
#include "client/describe/process.h"
#include "client/describe/recall.h"
#include "client/program.h"
#include "common/clock.h"
#include "common/pure/sha256.h"
#include "version.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define GROUP_MAX 128 /* targets of one process */
#define ANSWER_MAX (64u << 20)
#define TIME_NS (120 * NS_PER_S)
#define TIME_TARGET_NS (100 * NS_PER_MS)

static const struct language {
	const char *name, *title, *end, *program;
	const char *env[3]; /* what it is asked for that changes answers */
} languages[] = {
	{"python", "Python", ".py", "cashet-runner-python", {NULL}},
	{"c", "C", ".c", "cashet-runner-c", {"CC", "CPATH", "C_INCLUDE_PATH"}},
};

struct wanted {
	struct describe_target t;
	const struct language *language;
	const char *group; /* equal texts can be asked together */
	const char *line;  /* what the program is told */
	struct described d;
	uint8_t key[DIGEST_SIZE];
	bool has_key, answered;
};

struct group { /* what one process is asked */
	struct wanted *items[GROUP_MAX];
	size_t count;
	char *program, *python; /* heap */
};

struct describer {
	struct arena arena;
	struct map map; /* key to number */
	struct wanted **items;
	uint32_t count, capacity, first_open;
	struct describe_options options;
	struct recall recall;
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED, "out of memory");
}

int describer_new(struct describer **dp, const struct describe_options *options,
		  struct err *e)
{
	struct describer *d = calloc(1, sizeof *d);
	if (!d)
		return no_memory(e);
	char *path = NULL;
	d->options = *options;
	d->options.folder =
		arena_text(&d->arena, options->folder, strlen(options->folder));
	if (!d->options.folder ||
	    (options->memo_path && asprintf(&path, "%s.calls", options->memo_path) < 0) ||
	    recall_init(&d->recall, path)) {
		free(path);
		describer_free(d);
		return no_memory(e);
	}
	free(path);
	*dp = d;
	return 0;
}

void describer_free(struct describer *d)
{
	if (!d)
		return;
	recall_save(&d->recall);
	recall_fini(&d->recall);
	map_fini(&d->map);
	free(d->items);
	arena_fini(&d->arena);
	free(d);
}

/* ---- names */

const char *describe_language(const char *file)
{
	size_t size = strlen(file);
	for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
		size_t end = strlen(languages[i].end);
		if (size > end && !strcmp(file + size - end, languages[i].end))
			return languages[i].name;
	}
	return NULL;
}

size_t describe_split(const char *target, const char **namep)
{
	const char *colon = strrchr(target, ':'), *at = colon ? colon + 1 : "";
	*namep = NULL;
	/* Letters beyond ASCII may be part of a name: the describer knows. */
	for (const unsigned char *c = (const unsigned char *)at; *c; c++) {
		bool letter =
			((*c | 32) >= 'a' && (*c | 32) <= 'z') || *c == '_' || *c >= 0x80;
		if (!letter && (c == (const unsigned char *)at || *c < '0' || *c > '9'))
			return strlen(target);
	}
	if (!*at || colon == target)
		return strlen(target);
	*namep = at;
	return (size_t)(colon - target);
}

static const struct language *find_language(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(languages); i++)
		if (!strcmp(languages[i].name, name))
			return &languages[i];
	return NULL;
}

/* ---- wanting */

static const char *copy_text(struct describer *d, const char *text)
{
	return text ? arena_text(&d->arena, text, strlen(text)) : NULL;
}

/* copy_target() - texts, and what is asked with which others. Return: NULL out of memory. */
static struct wanted *copy_target(struct describer *d, const struct describe_target *t)
{
	struct wanted *w = arena_calloc(&d->arena, 1, sizeof *w);
	const char **flags = arena_calloc(&d->arena, t->flag_count, sizeof *flags);
	CLEANUP_BUF struct buf group = {0};
	if (!w || !flags)
		return NULL;
	buf_printf(&group, "%s %d %s", t->language, t->canonical,
		   t->python ? t->python : "");
	for (size_t i = 0; i < t->flag_count; i++) {
		buf_printf(&group, "\n%s", t->flags[i]);
		if (!(flags[i] = copy_text(d, t->flags[i])))
			return NULL;
	}
	w->t = *t;
	w->language = find_language(t->language);
	w->t.file = copy_text(d, t->file);
	w->t.function = copy_text(d, t->function);
	w->t.python = copy_text(d, t->python);
	w->t.flags = flags;
	w->group = copy_text(d, buf_cstr(&group));
	w->line = t->function ? arena_printf(&d->arena, "%s:%s", t->file, t->function)
			      : w->t.file;
	w->d.target = w->line;
	w->d.unit.language = (char *)(uintptr_t)w->language->name;
	w->d.unit.flags = (char **)(uintptr_t)flags;
	w->d.unit.flag_count = t->flag_count;
	bool good = w->t.file && w->line && w->group && !group.failed &&
		    (!t->function || w->t.function) && (!t->python || w->t.python);
	return good ? w : NULL;
}

static int add(struct describer *d, const struct describe_target *t,
	       const struct buf *key, struct err *e)
{
	if (d->count == d->capacity) {
		uint32_t capacity = d->capacity ? 2 * d->capacity : 16;
		struct wanted **items = realloc(d->items, capacity * sizeof(*items));
		if (!items)
			return no_memory(e);
		d->items = items;
		d->capacity = capacity;
	}
	struct wanted *w = copy_target(d, t);
	char *copy = arena_text(&d->arena, (const char *)key->data, key->size);
	if (!w || !copy || map_put(&d->map, copy, key->size, d->count))
		return no_memory(e);
	d->items[d->count++] = w;
	return 0;
}

static void add_field(struct buf *key, const char *text)
{
	if (text)
		buf_add(key, text, strlen(text) + 1);
	else
		buf_add(key, "\1", 2);
}

int describer_want(struct describer *d, const struct describe_target *target,
		   uint32_t *numberp, struct err *e)
{
	CLEANUP_BUF struct buf key = {0};
	struct describe_target t = *target;
	if (!t.language)
		t.language = describe_language(t.file);
	if (!find_language(t.language)) {
		err_set(e, ERR_USAGE,
			"no language is known for \"%.300s\": files of functions end in "
			".py or .c",
			t.file);
		return ERR_USAGE;
	}
	if (strchr(t.file, '\n'))
		return err_set(e, ERR_USAGE, "the file's name has a line break");
	add_field(&key, t.language);
	add_field(&key, t.file);
	add_field(&key, t.function);
	add_field(&key, t.python);
	add_field(&key, t.canonical ? "canonical" : "");
	for (size_t i = 0; i < t.flag_count; i++)
		add_field(&key, t.flags[i]);
	if (key.failed)
		return no_memory(e);
	uint32_t *known = map_find(&d->map, key.data, key.size);
	if (known) {
		*numberp = *known;
		return 0;
	}
	*numberp = d->count;
	return add(d, &t, &key, e);
}

const struct described *describer_get(const struct describer *d, uint32_t number)
{
	return number < d->count && d->items[number]->answered ? &d->items[number]->d
							       : NULL;
}

/* ---- what a describer depends on */

static char *find_runner(const struct language *l)
{
	const char *folder = getenv("CASHET_RUNNER_PATH");
	if (!folder || !*folder)
		return program_find(l->program);
	char *real = realpath(folder, NULL);
	char *path = real ? program_in_folder(real, l->program) : NULL;
	free(real);
	return path;
}

static char *find_python(const struct describer *d, const char *said)
{
	char *path = NULL;
	if (!strchr(said, '/'))
		return program_in_path(said);
	if (*said == '/')
		return strdup(said);
	return asprintf(&path, "%s/%s", d->options.folder, said) < 0 ? NULL : path;
}

/* no_program() - all of the group cannot be described, and why. */
static void no_program(struct describer *d, struct group *g, const char *name,
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

static void add_program(struct buf *key, const char *path)
{
	struct stat st = {0};
	add_field(key, path);
	if (path && stat(path, &st) == 0)
		buf_printf(key, "%" PRIu64 " %" PRIu64 " %lld.%09ld", (uint64_t)st.st_ino,
			   (uint64_t)st.st_size, (long long)st.st_mtim.tv_sec,
			   st.st_mtim.tv_nsec);
	buf_add_byte(key, '\0');
}

/* The parts of a key that all of a group share; @python: the interpreter, also if none was named. */
static void group_key(const struct describer *d, const struct group *g, struct buf *key)
{
	const struct wanted *w = g->items[0];
	char *python = NULL;
	add_field(key, CASHET_VERSION);
	add_field(key, w->group);
	add_field(key, d->options.folder);
	add_program(key, g->program);
	if (!strcmp(w->language->name, "python")) {
		python = g->python ? strdup(g->python) : program_in_path("python3");
		add_program(key, python);
		free(python);
	}
	for (size_t i = 0; i < ARRAY_LEN(w->language->env); i++)
		if (w->language->env[i])
			add_field(key, getenv(w->language->env[i]));
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

static int read_answer(struct describer *d, struct group *g, const struct answer *a,
		       struct err *e)
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

static void recall_all(struct describer *d, struct group *g)
{
	CLEANUP_BUF struct buf head = {0};
	size_t left = 0;
	group_key(d, g, &head);
	size_t size = head.size;
	for (size_t i = 0; i < g->count; i++) {
		struct wanted *w = g->items[i];
		const char *version, *row;
		size_t row_size;
		char wrong[200];
		head.size = size;
		add_field(&head, w->line);
		w->has_key = !head.failed && !w->t.canonical;
		sha256_digest(head.data, head.size, w->key);
		if (w->has_key &&
		    recall_find(&d->recall, w->key, &version, &row, &row_size) &&
		    !answer_read(row, row_size, &d->arena, &w->d, wrong) && w->d.ok) {
			w->d.version = version;
			w->d.remembered = w->answered = true;
		} else {
			g->items[left++] = w;
		}
	}
	g->count = left;
}

/* ---- asking */

#define ARGS_FIXED 8

static const char **make_argv(const struct describer *d, const struct group *g)
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

/* went_wrong() - there is no answer, or none that can be read. */
static void went_wrong(struct describer *d, struct group *g,
		       const struct process_end *end, const char *wrong)
{
	CLEANUP_BUF struct buf text = {0};
	buf_add_str(&text, g->program);
	if (wrong)
		buf_printf(&text, " gave an answer that cannot be read: %s", wrong);
	else
		add_end(&text, end);
	if (end->said.size) {
		buf_add_str(&text, "; it said: ");
		first_line(&end->said, &text);
	}
	no_program(d, g, "runner", buf_cstr(&text),
		   g->items[0]->language->name[0] == 'p'
			   ? "it needs Python 3.9 or newer; --python or python: names an "
			     "interpreter"
			   : "install the same version of cashet and of its runners");
}

static int run(struct describer *d, struct group *g, struct process_end *end,
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

static int ask(struct describer *d, struct group *g, struct err *e);

/* halves() - one target may have much to say, many have too much for one answer. */
static int halves(struct describer *d, const struct group *g, struct err *e)
{
	int r = 0;
	size_t middle = g->count / 2;
	for (int part = 0; r == 0 && part < 2; part++) {
		struct group half = {.program = g->program, .python = g->python};
		size_t from = part ? middle : 0, to = part ? g->count : middle;
		for (size_t i = from; i < to; i++)
			half.items[half.count++] = g->items[i];
		r = ask(d, &half, e);
	}
	return r;
}

static int ask(struct describer *d, struct group *g, struct err *e)
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

/* ---- all that is wanted */

static void missing_runner(struct describer *d, struct group *g)
{
	CLEANUP_BUF struct buf text = {0};
	const struct language *l = g->items[0]->language;
	const char *folder = getenv("CASHET_RUNNER_PATH");
	if (folder && *folder)
		buf_printf(
			&text,
			"%s, which reads %s sources, is not in %s (CASHET_RUNNER_PATH)",
			l->program, l->title, folder);
	else
		buf_printf(&text,
			   "%s, which reads %s sources, is neither beside this program "
			   "nor in PATH",
			   l->program, l->title);
	CLEANUP_BUF struct buf next = {0};
	buf_printf(&next, "install %s, or name its folder in CASHET_RUNNER_PATH",
		   l->program);
	no_program(d, g, "no-runner", buf_cstr(&text), buf_cstr(&next));
}

static int describe_group(struct describer *d, struct group *g, struct err *e)
{
	const struct describe_target *t = &g->items[0]->t;
	g->program = find_runner(g->items[0]->language);
	if (!g->program) {
		missing_runner(d, g);
		return 0;
	}
	if (t->python && !(g->python = find_python(d, t->python))) {
		CLEANUP_BUF struct buf text = {0};
		buf_printf(&text, "there is no Python interpreter \"%.200s\" in PATH",
			   t->python);
		no_program(d, g, "no-interpreter", buf_cstr(&text),
			   "what the function imports is looked up in it: name one that "
			   "this machine has");
		return 0;
	}
	recall_all(d, g);
	return g->count ? ask(d, g, e) : 0;
}

int describer_run(struct describer *d, struct err *e)
{
	int r = 0;
	recall_begin(&d->recall);
	while (r == 0 && d->first_open < d->count) {
		if (d->items[d->first_open]->answered) {
			d->first_open++;
			continue;
		}
		struct group g = {0};
		for (uint32_t i = d->first_open; i < d->count && g.count < GROUP_MAX; i++)
			if (!d->items[i]->answered &&
			    !strcmp(d->items[i]->group, d->items[d->first_open]->group))
				g.items[g.count++] = d->items[i];
		r = describe_group(d, &g, e);
		free(g.program);
		free(g.python);
	}
	return r;
}
