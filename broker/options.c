/* options.c - see options.h. To add an option: a row in long_options, a line in options_help(), a
 * case in take(). */
#include "broker/options.h"

#include "common/log.h"
#include "common/names.h"
#include "common/num.h"
#include "common/pure/mem.h"
#include "proto/endpoint.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_NS (60 * NS_PER_S)

enum {
	OPT_LISTEN = 1000,
	OPT_BLOB_LISTEN,
	OPT_STORE,
	OPT_LOG_LEVEL,
	OPT_KEY,
	OPT_INSECURE,
	OPT_PRIVATE,
	OPT_DRAIN_TIMEOUT,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"blob-listen", required_argument, NULL, OPT_BLOB_LISTEN},
	{"store", required_argument, NULL, OPT_STORE},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"key", required_argument, NULL, OPT_KEY},
	{"insecure", no_argument, NULL, OPT_INSECURE},
	{"private", no_argument, NULL, OPT_PRIVATE},
	{"drain-timeout", required_argument, NULL, OPT_DRAIN_TIMEOUT},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

/* Subcommands look at a running broker; the `cashet` program beside this one does them. */
static const struct {
	const char *name, *first, *second;
} monitors[] = {
	{"status", "broker", "status"},
	{"workers", "worker", "ls"},
	{"queue", "ps", NULL},
	{"drain", "broker", "drain"},
};

void options_help(void)
{
	fputs("usage: cashet-broker [OPTIONS]\n"
	      "       cashet-broker status|workers|queue|drain [--broker URL]\n"
	      "\n"
	      "Takes batches, finds what is cached, leases the rest to workers, keeps "
	      "the "
	      "results.\n"
	      "\n"
	      "  --listen URL         tcp://HOST:PORT or ipc://PATH; may be repeated. "
	      "The store's own\n"
	      "                       socket, DIR/run/broker.sock, is always there\n"
	      "  --blob-listen URL    where blobs of the --listen of the same position "
	      "go (PORT + 1,\n"
	      "                       PATH.blobs)\n"
	      "  --store DIR          the store (CASHET_DIR, else ./.cashet)\n"
	      "  --key FILE           secret key for TCP (CASHET_KEY, else the one in "
	      "~/.config/cashet)\n"
	      "  --insecure           TCP without keys, for a network that you trust\n"
	      "  --drain-timeout DUR  at SIGTERM wait this long for running tasks (until "
	      "they "
	      "have ended)\n"
	      "  --log-level LEVEL    error, warn, info or debug\n"
	      "  --private            as clients start it for a store directory: with "
	      "one local "
	      "worker,\n"
	      "                       ends a minute after the last client\n"
	      "  --version, --help\n",
	      stdout);
}

#define usage(e, ...)                                                                    \
	(err_set(e, ERR_USAGE, __VA_ARGS__),                                             \
	 err_next(e, "cashet-broker --help lists the options"), ERR_USAGE)

static int add_url(const char **urls, unsigned *count, const char *url, struct err *e)
{
	if (*count == LISTEN_MAX)
		return usage(e, "more than 16 addresses: %s", url);
	int rc = endpoint_check(url, e);
	if (!rc)
		urls[(*count)++] = url;
	return rc;
}

static int take(struct options *o, int option, enum options_do *what, struct err *e)
{
	switch (option) {
	case OPT_LISTEN:
		return add_url(o->listen, &o->listen_count, optarg, e);
	case OPT_BLOB_LISTEN:
		return add_url(o->blob_listen, &o->blob_listen_count, optarg, e);
	case OPT_STORE:
		o->store = optarg;
		return *optarg ? 0 : usage(e, "--store needs a directory");
	case OPT_LOG_LEVEL:
		if (log_level_parse(optarg, &log_threshold))
			return usage(e, "--log-level %s: error, warn, info or debug",
				     optarg);
		return 0;
	case OPT_KEY:
		o->key = optarg;
		return 0;
	case OPT_INSECURE:
		o->insecure = true;
		return 0;
	case OPT_PRIVATE:
		o->is_private = true;
		return 0;
	case OPT_DRAIN_TIMEOUT:
		if (num_parse_duration(optarg, &o->drain_timeout_ns))
			return usage(e,
				     "--drain-timeout %s: a duration such as 30s or 10m",
				     optarg);
		return 0;
	case OPT_VERSION:
		*what = OPTIONS_VERSION;
		return 0;
	case OPT_HELP:
		*what = OPTIONS_HELP;
		return 0;
	default:
		return usage(e, "unknown option");
	}
}

static int unknown_option(const char *word, struct err *e)
{
	const char *names[ARRAY_LEN(long_options)];
	size_t count = 0;
	for (const struct option *o = long_options; o->name; o++)
		names[count++] = o->name;
	while (*word == '-')
		word++;
	const char *near = names_suggest(word, names, count);
	err_set(e, ERR_USAGE, "unknown option or missing value: --%s", word);
	err_next(e, "cashet-broker --help lists the options");
	if (near)
		err_next(e, "did you mean --%s?", near);
	return ERR_USAGE;
}

int options_parse(struct options *o, int argc, char **argv, enum options_do *what,
		  struct err *e)
{
	const char *dir = getenv("CASHET_DIR"), *idle = getenv("CASHET_PRIVATE_IDLE");
	*o = (struct options){.store = dir && *dir ? dir : ".cashet",
			      .drain_timeout_ns = TIME_NEVER,
			      .idle_ns = IDLE_NS};
	*what = OPTIONS_RUN;
	if (idle && *idle) {
		char *end;
		double seconds = strtod(idle, &end);
		if (*end || !(seconds >= 0 && seconds < 1e9))
			return usage(e,
				     "CASHET_PRIVATE_IDLE=%s is not a number of seconds",
				     idle);
		o->idle_ns = (uint64_t)(seconds * 1e9);
	}
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(monitors); i++) {
		if (!strcmp(argv[1], monitors[i].name)) {
			*what = OPTIONS_MONITOR;
			return 0;
		}
	}
	optind = 0;
	opterr = 0;
	int option;
	while ((option = getopt_long(argc, argv, "+", long_options, NULL)) != -1) {
		if (option == '?')
			return unknown_option(argv[optind - 1], e);
		int rc = take(o, option, what, e);
		if (rc)
			return rc;
	}
	if (optind < argc) {
		const char *names[] = {"status", "workers", "queue", "drain"};
		const char *near = names_suggest(argv[optind], names, ARRAY_LEN(names));
		err_set(e, ERR_USAGE, "unknown command: %s", argv[optind]);
		err_next(e, "cashet-broker --help lists them");
		if (near)
			err_next(e, "did you mean %s?", near);
		return ERR_USAGE;
	}
	if (o->blob_listen_count > o->listen_count)
		return usage(e, "more --blob-listen than --listen");
	if (o->is_private && o->listen_count)
		return usage(e, "--private and --listen exclude each other: a private "
				"broker listens nowhere else");
	return 0;
}

char *options_program(const char *name)
{
	char exe[4096], *path = NULL;
	ssize_t size = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (size > 0) {
		exe[size] = '\0';
		char *slash = strrchr(exe, '/');
		if (slash &&
		    asprintf(&path, "%.*s/%s", (int)(slash - exe), exe, name) < 0)
			abort();
		if (path && access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return mem_strdup(name);
}

int options_monitor(int argc, char **argv, struct err *e)
{
	size_t i = 0;
	while (strcmp(argv[1], monitors[i].name) != 0)
		i++;
	char **args = mem_alloc(((size_t)argc + 4) * sizeof *args);
	size_t count = 0;
	args[count++] = options_program("cashet");
	args[count++] = (char *)monitors[i].first;
	if (monitors[i].second)
		args[count++] = (char *)monitors[i].second;
	for (int k = 2; k < argc; k++)
		args[count++] = argv[k];
	execvp(args[0], args);
	err_set(e, ERR_FAILED, "cannot run %s: %s", args[0], strerror(errno));
	err_next(e, "install the cashet program beside cashet-broker or in PATH");
	free(args[0]);
	free(args);
	return ERR_FAILED;
}
