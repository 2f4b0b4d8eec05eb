/* options.c - see options.h. */
#include "client/cli/options.h"

#include "common/names.h"
#include "common/num.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct settings, member)

const struct option_row option_table[] = {
	{"detach", 'd', OPTION_FLAG, OPTIONS_DETACH, AT(detach), NULL,
	 "submit and do not wait"},
	{"force", 0, OPTION_FLAG, OPTIONS_SUBMIT, AT(force), NULL,
	 "run every task again; the new results take the place of the old"},
	{"no-cache", 0, OPTION_FLAG, OPTIONS_SUBMIT, AT(no_cache), NULL,
	 "run every task, and keep the results out of the cache"},
	{"tag", 't', OPTION_LIST, OPTIONS_SUBMIT, AT(tags), "KEY=VALUE",
	 "tag every task; may be repeated", "tag"},
	{"format", 0, OPTION_TEXT, OPTIONS_SUBMIT, AT(format), "FORMAT",
	 "yaml, json or jsonl; else by the file's name", "=yaml json jsonl"},
	{"kw", 0, OPTION_LIST, OPTIONS_CALL, AT(keywords), "NAME=VALUE",
	 "of a function: the argument of this name; may be repeated"},
	{"python", 0, OPTION_TEXT, OPTIONS_DESCRIBE, AT(python), "PROGRAM",
	 "of a Python function: the interpreter (default: python3)", "file"},
	{"cflag", 0, OPTION_LIST, OPTIONS_DESCRIBE, AT(cflags), "FLAG",
	 "of a C function: a flag of the compiler, --cflag=-O3; may be repeated"},
	{"against", 0, OPTION_TEXT, OPTIONS_AGAINST, AT(against), "COMMIT",
	 "say what differs from the function that this commit, task or pin ran",
	 "commit"},
	{"isolation", 0, OPTION_TEXT, OPTIONS_CALL, AT(isolation), "HOW",
	 "of a function: shared, or fork for a fresh process each time (default: shared)",
	 "=shared fork"},
	{"name", 0, OPTION_TEXT, OPTIONS_CALL, AT(batch_name), "NAME",
	 "of a function: what the batch is called"},
	{"timeout", 0, OPTION_DURATION, OPTIONS_CALL, AT(task_timeout_ns), "DURATION",
	 "of a function: stop an attempt after, for example, 90s or 2h"},
	{"retries", 0, OPTION_NUMBER, OPTIONS_CALL, AT(retries), "N",
	 "of a function: try again so often when it fails (default: 0)"},
	{"over", 0, OPTION_TEXT, OPTIONS_MAP, AT(over), "FILE",
	 "one call for each line of it, which is JSON; - is standard input", "file"},
	{"file", 'o', OPTION_TEXT, OPTIONS_MAP, AT(output_file), "PATH",
	 "write the results to this file", "file"},
	{"all", 'a', OPTION_FLAG, OPTIONS_ALL, AT(all), NULL,
	 "also those that have ended"},
	{"timeout", 0, OPTION_DURATION, OPTIONS_TIMEOUT, AT(timeout_ns), "DURATION",
	 "give up waiting after, for example, 90s or 2h (exit 7)"},
	{"csv", 0, OPTION_FLAG, OPTIONS_CSV, AT(csv), NULL,
	 "print comma-separated values"},
	{"param", 'p', OPTION_LIST, OPTIONS_CSV, AT(params), "PARAM",
	 "show this parameter, and in this order; may be repeated", "param"},
	{"metric", 'm', OPTION_LIST, OPTIONS_CSV, AT(metrics), "METRIC",
	 "show this metric, and in this order; may be repeated", "metric"},
	{"group-by", 'g', OPTION_LIST, OPTIONS_CSV, AT(group_by), "PARAM",
	 "one row for all tasks with the same value of it; may be repeated", "param"},
	{"agg", 0, OPTION_TEXT, OPTIONS_CSV, AT(agg), "LIST",
	 "of n, mean, std, min, max, median, sum, joined by commas (default: "
	 "mean,std,min,max)",
	 "=n mean std min max median sum"},
	{"top", 'k', OPTION_NUMBER, OPTIONS_BEST, AT(top), "N", "how many (default: 10)"},
	{"by", 0, OPTION_TEXT, OPTIONS_BEST, AT(by), "METRIC",
	 "the metric; else what metrics.best of the tasks says", "metric"},
	{"max", 0, OPTION_FLAG, OPTIONS_BEST, AT(max), NULL, "the largest is the best"},
	{"min", 0, OPTION_FLAG, OPTIONS_BEST, AT(min), NULL, "the smallest is the best"},
	{"file", 'o', OPTION_TEXT, OPTIONS_GET, AT(output_file), "PATH",
	 "write to this file; a folder, when there are several outputs", "file"},
	{"output", 0, OPTION_TEXT, OPTIONS_GET, AT(output_name), "NAME",
	 "this one of the task's outputs", "output"},
	{"input", 0, OPTION_TEXT, OPTIONS_GET, AT(input_name), "NAME",
	 "what the task read: this one of its inputs", "input"},
	{"stdout", 0, OPTION_FLAG, OPTIONS_STREAM, AT(want_stdout), NULL,
	 "its standard output"},
	{"stderr", 0, OPTION_FLAG, OPTIONS_STREAM, AT(want_stderr), NULL,
	 "its standard error"},
	{"follow", 'f', OPTION_FLAG, OPTIONS_FOLLOW, AT(follow), NULL,
	 "go on until the task has ended"},
	{"command", 'c', OPTION_TEXT, OPTIONS_SHELL, AT(shell_command), "COMMAND",
	 "run this with sh -c there, and no shell; its exit code is ours"},
	{"dir", 0, OPTION_TEXT, OPTIONS_SHELL, AT(dir), "DIR",
	 "lay it out in this new or empty folder, and keep it", "dir"},
	{"keep", 0, OPTION_FLAG, OPTIONS_SHELL, AT(keep), NULL,
	 "keep the folder when the shell has ended"},
	{"role", 0, OPTION_TEXT, OPTIONS_ROLE, AT(role), "ROLE",
	 "client, worker, admin, observer; or broker, for one that we connect to",
	 "=client worker admin observer broker"},
	{"name", 0, OPTION_TEXT, OPTIONS_ROLE, AT(name), "NAME",
	 "whose key it is; of a broker: HOST:PORT"},
	{"deadline", 0, OPTION_DURATION, OPTIONS_DEADLINE, AT(deadline_ns), "DURATION",
	 "stop what still runs then, and hand it back"},
	{"older-than", 0, OPTION_TEXT, OPTIONS_GC, AT(older_than), "DURATION",
	 "remove what was not used for so long, for example 30d"},
	{"max-size", 0, OPTION_TEXT, OPTIONS_GC, AT(max_size), "SIZE",
	 "remove what was used least recently until the store is no larger"},
	{"tag", 't', OPTION_LIST, OPTIONS_FILTER, AT(tags), "KEY=VALUE",
	 "of tasks with this tag, or with this KEY; may be repeated", "tag"},
	{"func", 0, OPTION_TEXT, OPTIONS_FILTER, AT(func), "NAME",
	 "of tasks of this name", "func"},
	{"worker", 0, OPTION_TEXT, OPTIONS_FILTER, AT(worker), "KEY",
	 "made by the worker with this key", "worker-key"},
	{"downstream", 0, OPTION_TEXT, OPTIONS_FILTER, AT(downstream), "COMMIT",
	 "this one, and all that was made from its result", "commit"},
	{"read-data", 0, OPTION_TEXT, OPTIONS_FSCK, AT(read_data), "PERCENT",
	 "read so many percent of the files whole (default: 0)"},
	{"repair", 0, OPTION_FLAG, OPTIONS_FSCK, AT(repair), NULL,
	 "remove what is damaged, so that it is made again when it is needed"},
	{"name", 0, OPTION_TEXT, OPTIONS_PIN, AT(pin_name), "NAME",
	 "the name of the pin"},
	{"dry-run", 0, OPTION_FLAG, OPTIONS_DRY_RUN, AT(dry_run), NULL,
	 "only say what would happen"},
	{"verbose", 'v', OPTION_FLAG, OPTIONS_VERBOSE, AT(verbose), NULL,
	 "with --dry-run: say it of each task"},
	{"yes", 'y', OPTION_FLAG, OPTIONS_YES, AT(yes), NULL, "do not ask"},
	{"func", 0, OPTION_TEXT, OPTIONS_LOG | OPTIONS_EXPORT, AT(func), "NAME",
	 "only of tasks of this name: train, report.py:report", "func"},
	{"tag", 't', OPTION_LIST, OPTIONS_LOG | OPTIONS_EXPORT, AT(tags), "KEY[=VALUE]",
	 "only of tasks with this tag, that made or hit it; may be repeated", "tag"},
	{"status", 0, OPTION_TEXT, OPTIONS_LOG | OPTIONS_EXPORT, AT(status), "STATUS",
	 "only these: completed or failed", "=completed failed"},
	{"batch", 0, OPTION_TEXT, OPTIONS_LOG | OPTIONS_EXPORT, AT(batch), "BATCH",
	 "only those that tasks of this batch made or hit", "batch"},
	{"since", 0, OPTION_TEXT, OPTIONS_LOG | OPTIONS_EXPORT, AT(since), "DURATION",
	 "only those that ended within, for example, 2h or 2d"},
	{"number", 'n', OPTION_NUMBER, OPTIONS_LOG, AT(number), "N", "no more than N"},
	{"all", 'a', OPTION_FLAG, OPTIONS_EXPORT, AT(all), NULL,
	 "superseded results and failures too, not only what would be a hit"},
	{"no-logs", 0, OPTION_FLAG, OPTIONS_EXPORT, AT(no_logs), NULL,
	 "leave out what tasks wrote to standard output and error"},
	{"max-size", 0, OPTION_TEXT, OPTIONS_IMPORT, AT(max_size), "SIZE",
	 "what an archive that unpacks to 1000 times its size may unpack to (default: "
	 "1G)"},
	{"graph", 0, OPTION_FLAG, OPTIONS_GRAPH, AT(graph), NULL,
	 "show what it was made from, up to the roots"},
	{"dot", 0, OPTION_FLAG, OPTIONS_GRAPH, AT(dot), NULL,
	 "the same for Graphviz: cashet history HASH --dot | dot -Tsvg"},
	{"broker", 0, OPTION_TEXT, OPTIONS_GLOBAL, AT(broker), "URL",
	 "tcp://HOST:PORT or ipc://PATH; else CASHET_BROKER"},
	{"store", 0, OPTION_TEXT, OPTIONS_GLOBAL, AT(store), "DIR",
	 "the store of this folder; else CASHET_DIR, else ./.cashet", "dir"},
	{"key", 0, OPTION_TEXT, OPTIONS_GLOBAL, AT(key), "FILE",
	 "our secret key; else CASHET_KEY, else the one in ~/.config/cashet", "file"},
	{"insecure", 0, OPTION_FLAG, OPTIONS_GLOBAL, AT(insecure), NULL,
	 "use no keys towards a broker that runs --insecure"},
	{"json", 0, OPTION_FLAG, OPTIONS_GLOBAL, AT(json), NULL,
	 "print one JSON object, see docs/cli.md"},
	{"quiet", 'q', OPTION_FLAG, OPTIONS_GLOBAL, AT(quiet), NULL,
	 "no progress, no remarks"},
	{"color", 0, OPTION_TEXT, OPTIONS_GLOBAL, AT(color), "WHEN",
	 "auto, always or never; NO_COLOR counts as never", "=auto always never"},
	{"help", 'h', OPTION_FLAG, OPTIONS_GLOBAL, AT(help), NULL, "explain the command"},
	{"version", 'V', OPTION_FLAG, OPTIONS_GLOBAL, AT(version), NULL,
	 "print the version"},
};
const size_t option_count = ARRAY_LEN(option_table);

static const struct option_row *find_long(const char *name, size_t size, unsigned sets)
{
	for (size_t i = 0; i < option_count; i++)
		if ((option_table[i].set & sets) &&
		    strlen(option_table[i].name) == size &&
		    memcmp(option_table[i].name, name, size) == 0)
			return &option_table[i];
	return NULL;
}

static const struct option_row *find_letter(char letter, unsigned sets)
{
	for (size_t i = 0; i < option_count; i++)
		if ((option_table[i].set & sets) && option_table[i].letter == letter)
			return &option_table[i];
	return NULL;
}

static int unknown_long(const char *name, size_t size, unsigned sets, struct err *e)
{
	const char *names[ARRAY_LEN(option_table)];
	char word[64];
	size_t count = 0;
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].set & sets)
			names[count++] = option_table[i].name;
	snprintf(word, sizeof word, "%.*s", (int)size, name);
	const char *near = names_suggest(word, names, count);
	err_set(e, ERR_USAGE, "there is no option --%s here%s%s%s", word,
		near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
	return -1;
}

static int parse_number(const char *text, uint64_t *out)
{
	char *end;
	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || value == 0)
		return 1;
	*out = value;
	return 0;
}

/* No time at all is over at once; what is 0 in settings was not given. */
static int set_duration(const struct option_row *row, const char *typed,
			const char *value, uint64_t *to, struct err *e)
{
	if (num_parse_duration(value, to)) {
		err_set(e, ERR_USAGE,
			"%s takes a duration such as 30s, 10m or 1h30m, not \"%s\"",
			typed, value);
		return -1;
	}
	if (!*to && row->set != OPTIONS_CALL) /* of a task: no limit */
		*to = NS_PER_MS;
	return 0;
}

/* @typed: "--top" or "-k". */
static int set_value(struct settings *s, const struct option_row *row, const char *typed,
		     const char *value, struct err *e)
{
	void *to = (char *)s + row->offset;
	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)to = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)to = value;
		return 0;
	case OPTION_LIST: {
		struct text_list *list = to;
		mem_grow(list->items, list->count, list->capacity);
		list->items[list->count++] = value;
		return 0;
	}
	case OPTION_NUMBER:
		if (parse_number(value, to) == 0)
			return 0;
		err_set(e, ERR_USAGE, "%s takes a whole number above 0, not \"%s\"",
			typed, value);
		return -1;
	case OPTION_DURATION:
		return set_duration(row, typed, value, to, e);
	}
	return -1;
}

static int no_value(const struct option_row *row, const char *typed, struct err *e)
{
	err_set(e, ERR_USAGE, "%s needs a value: %s", typed, row->value);
	return -1;
}

/* "--name" or "--name=value". Return: arguments used, or -1. */
static int parse_long(struct settings *s, unsigned sets, int left, char *const *argv,
		      struct err *e)
{
	const char *name = argv[0] + 2, *equals = strchr(name, '=');
	size_t size = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_row *row = find_long(name, size, sets);
	if (!row)
		return unknown_long(name, size, sets, e);
	char typed[64];
	snprintf(typed, sizeof typed, "--%s", row->name);
	if (row->type == OPTION_FLAG) {
		if (equals) {
			err_set(e, ERR_USAGE, "%s takes no value", typed);
			return -1;
		}
		return set_value(s, row, typed, NULL, e) ? -1 : 1;
	}
	if (!equals && left < 2)
		return no_value(row, typed, e);
	if (set_value(s, row, typed, equals ? equals + 1 : argv[1], e))
		return -1;
	return equals ? 1 : 2;
}

/* "-k 3", "-k3", "-qa". Return: arguments used, or -1. */
static int parse_letters(struct settings *s, unsigned sets, int left, char *const *argv,
			 struct err *e)
{
	for (const char *at = argv[0] + 1; *at; at++) {
		const struct option_row *row = find_letter(*at, sets);
		if (!row) {
			err_set(e, ERR_USAGE, "there is no option -%c here", *at);
			return -1;
		}
		const char typed[] = {'-', *at, '\0'};
		if (row->type == OPTION_FLAG) {
			set_value(s, row, typed, NULL, e);
			continue;
		}
		if (at[1])
			return set_value(s, row, typed, at + 1, e) ? -1 : 1;
		if (left < 2)
			return no_value(row, typed, e);
		return set_value(s, row, typed, argv[1], e) ? -1 : 2;
	}
	return 1;
}

/* "-" is standard input, and -3 and -.5 are numbers: no option is a digit. */
static bool is_option(const char *arg)
{
	return arg[0] == '-' && arg[1] && arg[1] != '.' && (arg[1] < '0' || arg[1] > '9');
}

int options_parse(struct settings *s, unsigned sets, int argc, char *const *argv,
		  bool stop_at_word, struct words *words, struct err *e)
{
	int at = 0;
	bool over = false;
	while (at < argc) {
		const char *arg = argv[at];
		if (over || !is_option(arg)) {
			if (stop_at_word)
				break;
			words->items[words->count++] = arg;
			at++;
		} else if (strcmp(arg, "--") == 0) {
			over = true;
			at++;
		} else {
			int used =
				arg[1] == '-'
					? parse_long(s, sets, argc - at, argv + at, e)
					: parse_letters(s, sets, argc - at, argv + at, e);
			if (used < 0)
				return -1;
			at += used;
		}
	}
	return at;
}

void settings_fini(struct settings *s)
{
	free(s->tags.items);
	free(s->params.items);
	free(s->metrics.items);
	free(s->group_by.items);
	free(s->keywords.items);
	free(s->cflags.items);
	*s = (struct settings){0};
}
