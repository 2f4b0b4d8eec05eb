/* main.c - cashet-runner-c: everything that cashet needs to know of C. To add a command: a row. */
#include "runners/c/describe/describe.h"
#include "runners/c/serve/serve.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int cmd_serve(int argc, char **argv)
{
	return serve();
}

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* the words behind the command; exit status */
} commands[] = {
	{"describe", describe_command},
	{"serve", cmd_serve},
};

int main(int argc, char **argv)
{
	int status = 2;
	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[1], commands[i].name))
			status = commands[i].run(argc - 2, argv + 2);
	fflush(stdout);
	fflush(stderr);
	_exit(status);
}
