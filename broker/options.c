/* options.c - see options.h. The table of options is in common/usage.c, which says how to add one. */
#include "broker/options.h"

#include "common/log.h"
#include "common/names.h"
#include "common/num.h"
#include "common/pure/mem.h"
#include "common/usage.h"
#include "proto/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_NS (60 * NS_PER_S)

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
	daemon_help(&daemon_broker);
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
	switch ((enum broker_flag)option) {
	case BROKER_LISTEN:
		return add_url(o->listen, &o->listen_count, optarg, e);
	case BROKER_BLOB_LISTEN:
		return add_url(o->blob_listen, &o->blob_listen_count, optarg, e);
	case BROKER_STORE:
		o->store = optarg;
		return *optarg ? 0 : usage(e, "--store needs a directory");
	case BROKER_LOG_LEVEL:
		if (log_level_parse(optarg, &log_threshold))
			return usage(e, "--log-level %s: error, warn, info or debug",
				     optarg);
		return 0;
	case BROKER_KEY:
		o->key = optarg;
		return 0;
	case BROKER_INSECURE:
		o->insecure = true;
		return 0;
	case BROKER_PRIVATE:
		o->is_private = true;
		return 0;
	case BROKER_DRAIN_TIMEOUT:
		if (num_parse_duration(optarg, &o->drain_timeout_ns))
			return usage(e,
				     "--drain-timeout %s: a duration such as 30s or 10m",
				     optarg);
		return 0;
	case BROKER_VERSION:
		*what = OPTIONS_VERSION;
		return 0;
	case BROKER_HELP:
		*what = OPTIONS_HELP;
		return 0;
	case BROKER_FLAGS:
		break;
	}
	return usage(e, "unknown option");
}

static int unknown_option(const char *word, struct err *e)
{
	const char *near = daemon_suggest(&daemon_broker, word);
	err_set(e, ERR_USAGE, "there is no option %s", word);
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
	struct option long_options[DAEMON_FLAGS_MAX + 1];
	daemon_getopt(&daemon_broker, long_options);
	optind = 0;
	opterr = 0;
	int option;
	while ((option = getopt_long(argc, argv, "+:", long_options, NULL)) != -1) {
		if (option == ':')
			return usage(e, "%s needs a value", argv[optind - 1]);
		if (option == '?')
			return unknown_option(argv[optind - 1], e);
		int rc = take(o, option - DAEMON_FLAG, what, e);
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
