/* cmd_complete.c - complete: what a word of a command line may become, for the shells' completion.
 *
 *   cashet complete -- KIND PREFIX [WORD...]
 *
 * KIND is one of kinds[] below; WORDs are those of the command line so far, of which --store, --broker,
 * --key and --insecure say where to look. One candidate a line: the word, a tab, what it is. Whoever
 * presses a key waits for it: nothing is started, little is read, and what fails says nothing. */
#include "client/cli/completion.h"
#include "client/cli/intern.h"
#include "common/clock.h"
#include "common/pure/hex.h"
#include "proto/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS NS_PER_S
#define CANDIDATES_MAX 100
#define COMMITS_MAX 2000 /* that are looked at */
#define TASKS_MAX 2000
#define NAMED_TASKS 50 /* tasks of which parameters, metrics and outputs are collected */

struct completion {
	struct cli *cli;
	const char *prefix;
	struct buf out;
	struct intern seen;
	unsigned count;
	bool with_tasks, with_colon;
};

static bool fits(const struct completion *c, const char *word)
{
	return strncmp(word, c->prefix, strlen(c->prefix)) == 0;
}

/* @word if it fits and is new. Both texts may be of strangers: one line, no control characters. */
static void add(struct completion *c, const char *word, const char *what)
{
	if (c->count >= CANDIDATES_MAX || !fits(c, word) || strpbrk(word, "\n\t") ||
	    intern_find(&c->seen, word, strlen(word) + 1) != INTERN_NONE)
		return;
	intern_add(&c->seen, word, strlen(word) + 1);
	text_escape(&c->out, word, strlen(word));
	buf_add_byte(&c->out, '\t');
	text_escape(&c->out, what, strlen(what));
	buf_add_byte(&c->out, '\n');
	c->count++;
}

/* ---- commands ---- */

/* The first words of two-word commands once; after "help GROUP" the second ones. */
static void commands(struct completion *c)
{
	const struct words *words = &c->cli->words;
	const char *group = NULL;
	for (size_t i = 2; i + 1 < words->count && !group; i++)
		if (strcmp(words->items[i], "help") == 0 &&
		    strcmp(words->items[i + 1], c->prefix) != 0 &&
		    cli_is_group(words->items[i + 1]))
			group = words->items[i + 1];
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		char first[64], what[128];
		size_t end = strcspn(command->name, " ");
		snprintf(first, sizeof first, "%.*s", (int)end, command->name);
		completion_summary(command, what, sizeof what);
		if (command->hidden || (group && strcmp(first, group) != 0))
			continue;
		if (group)
			add(c, command->name + end + 1, command->summary);
		else
			add(c, first, what);
	}
}

/* ---- batches and tasks ---- */

static int add_batch(void *arg, const struct cashet_batch *b)
{
	struct completion *c = arg;
	CLEANUP_BUF struct buf what = {0};
	char word[CASHET_HEX_SIZE + 1];
	int digits = strlen(c->prefix) > SHORT_HASH ? CASHET_HEX_SIZE - 1 : SHORT_HASH;
	snprintf(word, sizeof word, "%.*s%s", digits, b->batch, c->with_colon ? ":" : "");
	buf_printf(&what, "%s%s", *b->name ? b->name : b->file,
		   *b->name || *b->file ? ", " : "");
	show_counts(&what, &b->counts);
	buf_add_str(&what, ", ");
	show_ago(&what, b->submitted_wall_ms);
	add(c, word, buf_cstr(&what));
	return c->count >= CANDIDATES_MAX;
}

static void batches(struct completion *c, bool with_colon)
{
	c->with_colon = with_colon;
	cashet_batches(c->cli->c, true, 0, add_batch, c, NULL, NULL);
}

/* Of the batch that stands in front of the colon. */
static void tasks(struct completion *c)
{
	char batch[CASHET_HEX_SIZE];
	struct cashet_results *results;
	const struct cashet_result *r;
	const char *colon = strchr(c->prefix, ':');
	size_t size = colon ? (size_t)(colon - c->prefix) : sizeof batch;
	if (size >= sizeof batch) {
		batches(c, true);
		return;
	}
	memcpy(batch, c->prefix, size);
	batch[size] = '\0';
	if (cashet_results_open(c->cli->c, batch, &results, NULL))
		return;
	for (unsigned n = 0; n < TASKS_MAX && c->count < CANDIDATES_MAX; n++) {
		if (cashet_results_next(results, &r, NULL) || !r)
			break;
		CLEANUP_BUF struct buf word = {0}, what = {0};
		buf_printf(&word, "%s:%" PRIu32, batch, r->index);
		show_title(&what, r->name, r->params, r->param_count);
		buf_printf(&what, "  %s", show_status(r));
		add(c, buf_cstr(&word), buf_cstr(&what));
	}
	cashet_results_close(results);
}

/* ---- commits, and what they tell ---- */

static int add_commit(void *arg, const struct cashet_commit *commit)
{
	struct completion *c = arg;
	CLEANUP_BUF struct buf what = {0};
	char hex[CASHET_HEX_SIZE];
	hex_encode(hex, commit->commit, 32);
	if (strlen(c->prefix) <= SHORT_HASH)
		hex[SHORT_HASH] = '\0';
	buf_printf(&what, "%s  %s  ", commit->name,
		   commit->failed ? "failed" : "completed");
	show_ago(&what, commit->ended_wall_ms);
	add(c, hex, buf_cstr(&what));
	return c->count >= CANDIDATES_MAX;
}

static int add_pin(void *arg, const struct cashet_pin *pin)
{
	char what[32], hex[SHORT_HASH + 1];
	show_short(hex, pin->commit);
	snprintf(what, sizeof what, "pin of %s", hex);
	add(arg, pin->name, what);
	return 0;
}

static void pins(struct completion *c)
{
	cashet_pins(c->cli->c, add_pin, c, NULL);
}

static void each_commit(struct completion *c, cashet_commit_row row)
{
	const struct cashet_commits_filter newest = {.max = COMMITS_MAX};
	cashet_commits(c->cli->c, &newest, row, c, NULL);
}

static void commits(struct completion *c)
{
	if (strchr(c->prefix, ':')) {
		tasks(c);
		return;
	}
	pins(c);
	each_commit(c, add_commit);
	if (*c->prefix)
		batches(c, true);
}

static int add_func(void *arg, const struct cashet_commit *commit)
{
	add(arg, commit->name, "");
	return 0;
}

static int add_tags(void *arg, const struct cashet_commit *commit)
{
	struct completion *c = arg;
	for (size_t i = 0; i < commit->tag_count; i++) {
		CLEANUP_BUF struct buf word = {0};
		buf_printf(&word, "%s=%s", commit->tags[i].key, commit->tags[i].value);
		add(c, buf_cstr(&word), "tag");
	}
	return c->count >= CANDIDATES_MAX;
}

/* ---- what the tasks of the newest batch have ---- */

enum named { NAMED_PARAM, NAMED_METRIC, NAMED_OUTPUT };

static void names(struct completion *c, enum named which)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	if (cashet_results_open(c->cli->c, "", &results, NULL))
		return;
	for (unsigned n = 0; n < NAMED_TASKS; n++) {
		if (cashet_results_next(results, &r, NULL) || !r)
			break;
		size_t count = which == NAMED_PARAM    ? r->param_count
			       : which == NAMED_METRIC ? r->metric_count
						       : r->output_count;
		for (size_t i = 0; i < count; i++)
			add(c,
			    which == NAMED_PARAM    ? r->params[i].name
			    : which == NAMED_METRIC ? r->metrics[i].name
						    : r->outputs[i].name,
			    r->name);
	}
	cashet_results_close(results);
}

/* Inputs of the commit that stands in the line; it may be to come, then there are none. */
static void inputs(struct completion *c)
{
	const struct words *words = &c->cli->words;
	struct cashet_shown *shown = NULL;
	for (size_t i = 3; !shown && i < words->count; i++)
		if (words->items[i][0] != '-' &&
		    cashet_show(c->cli->c, words->items[i], &shown, NULL))
			shown = NULL;
	for (size_t i = 0; shown && i < shown->input_count; i++) {
		const struct cashet_origin *o = &shown->inputs[i];
		add(c, o->name, o->file_count ? o->files[0] : "");
	}
	cashet_shown_free(shown);
}

/* ---- workers and keys ---- */

/* Asking for workers starts a private broker; a question that only reads does not. */
static bool is_served(struct cashet *at)
{
	struct cashet_store_stats stats;
	return cashet_stats(at, &stats, NULL) == 0 && *cashet_where(at);
}

static int add_worker(void *arg, const struct cashet_worker *w)
{
	CLEANUP_BUF struct buf what = {0};
	buf_printf(&what, "%s on %s", w->state, w->host);
	add(arg, w->name, buf_cstr(&what));
	return 0;
}

static int add_worker_key(void *arg, const struct cashet_worker *w)
{
	static const uint8_t none[32];
	char public[41];
	if (memcmp(w->key, none, sizeof none) == 0)
		return 0;
	key_z85(public, w->key);
	add(arg, public, w->name);
	return 0;
}

static void trusted_keys(struct completion *c)
{
	struct key_trust *rows = NULL;
	size_t count = 0;
	struct err e;
	key_trust_list(&rows, &count,
		       &e); /* the good lines, also if there are bad ones */
	for (size_t i = 0; i < count; i++) {
		char public[41];
		key_z85(public, rows[i].public);
		add(c, *rows[i].name ? rows[i].name : public,
		    key_role_name(rows[i].role));
	}
	free(rows);
}

/* ---- which ---- */

static void find(struct completion *c, const char *kind)
{
	struct cashet *at = c->cli->c;
	if (strcmp(kind, "batch") == 0)
		batches(c, false);
	else if (strcmp(kind, "task") == 0)
		tasks(c);
	else if (strcmp(kind, "batch-or-task") == 0)
		strchr(c->prefix, ':') ? tasks(c) : batches(c, false);
	else if (strcmp(kind, "commit") == 0)
		commits(c);
	else if (strcmp(kind, "pin") == 0)
		pins(c);
	else if (strcmp(kind, "func") == 0)
		each_commit(c, add_func);
	else if (strcmp(kind, "tag") == 0)
		each_commit(c, add_tags);
	else if (strcmp(kind, "param") == 0)
		names(c, NAMED_PARAM);
	else if (strcmp(kind, "metric") == 0)
		names(c, NAMED_METRIC);
	else if (strcmp(kind, "output") == 0)
		names(c, NAMED_OUTPUT);
	else if (strcmp(kind, "input") == 0)
		inputs(c);
	else if (strcmp(kind, "worker") == 0 && is_served(at))
		cashet_workers(at, add_worker, c, NULL);
	else if (strcmp(kind, "worker-key") == 0 && is_served(at))
		cashet_workers(at, add_worker_key, c, NULL);
}

/* The settings that say where, out of a command line that is not finished. */
static void read_where(struct settings *s, const struct words *words)
{
	static const char *const valued[] = {"--store", "--broker", "--key"};
	const char **to[] = {&s->store, &s->broker, &s->key};
	for (size_t i = 2; i < words->count; i++) {
		const char *word = words->items[i];
		if (strcmp(word, "--insecure") == 0)
			s->insecure = true;
		for (size_t k = 0; k < ARRAY_LEN(valued); k++) {
			size_t size = strlen(valued[k]);
			if (strncmp(word, valued[k], size) != 0)
				continue;
			if (word[size] == '=')
				*to[k] = word + size + 1;
			else if (!word[size] && i + 1 < words->count)
				*to[k] = words->items[i + 1];
		}
	}
}

int cmd_complete(struct cli *cli)
{
	struct completion c = {.cli = cli, .prefix = cli->words.items[1]};
	const char *kind = cli->words.items[0];
	struct settings *s = &cli->settings;
	read_where(s, &cli->words);
	struct cashet_options options = {
		.broker = s->broker,
		.store = s->store,
		.key_file = s->key,
		.insecure = s->insecure,
		.must_exist = true,
		.name = cli->program,
		.no_wait = true,
		.connect_ns = PATIENCE_NS,
	};
	if (strcmp(kind, "command") == 0)
		commands(&c);
	else if (strcmp(kind, "key") == 0)
		trusted_keys(&c);
	else if (cashet_open(&cli->c, &options, NULL) == 0)
		find(&c, kind);
	int code = cli_write(cli, &c.out);
	intern_fini(&c.seen);
	buf_fini(&c.out);
	return code;
}
