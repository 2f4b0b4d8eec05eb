/* main.c - cashet-runner-c: everything that cashet needs to know of C. To add a command: a row. */
#include "runners/c/describe/clang.h"
#include "runners/c/describe/describe.h"
#include "runners/c/prepare/prepare.h"
#include "runners/c/serve/by_hand.h"
#include "runners/c/serve/serve.h"
#include "version.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: cashet-runner-c describe [--root DIR]... [--flag FLAG]... [--canonical] "
	"TARGET...\n"
	"       cashet-runner-c prepare [--cache DIR] SOURCE_DIR\n"
	"       cashet-runner-c run FOLDER\n"
	"       cashet-runner-c serve | version | help\n"
	"\n"
	"describe   says, as JSON, what FILE.c:FUNCTION is: its hash, what that is made "
	"of, which files\n"
	"           belong to it. Nothing of it is run\n"
	"  --root DIR    a folder that -I is relative to, before that of the first file; "
	"may be repeated\n"
	"  --flag FLAG   of the compiler; may be repeated, and counts\n"
	"  --canonical   with the canonical form\n"
	"  --            only targets follow; targets may also be given on standard "
	"input, one a line: -\n"
	"prepare    checks a source against what its client said of it, and compiles it: "
	"of workers\n"
	"run        does one call that `cashet shell` has laid out in FOLDER, and prints "
	"its "
	"result: for\n"
	"           debuggers, like gdb --args cashet-runner-c run ..\n"
	"serve      calls functions of compiled sources: of workers, on descriptor 3\n"
	"\n"
	"Exit status: 0 if all targets could be described, 1 if not, 2 if this was "
	"called wrongly.\n";

static int serve_command(int argc, char **argv)
{
	return serve();
}

static int help(int argc, char **argv)
{
	fputs(usage, stdout);
	return 0;
}

static int version(int argc, char **argv)
{
	bool there = clang_open() == 0;
	printf("cashet-runner-c %s: protocol %d, scheme 1, libclang %s\n", CASHET_VERSION,
	       SERVE_PROTOCOL, there ? clang.version : "is not installed");
	return 0;
}

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* the words behind the command; exit status */
} commands[] = {
	{"describe", describe_command},
	{"prepare", prepare_command},
	{"run", by_hand_command},
	{"serve", serve_command},
	{"version", version},
	{"--version", version},
	{"help", help},
	{"--help", help},
	{"-h", help},
};

static int run(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 2, argv + 2);
	fprintf(stderr, "cashet-runner-c: no command%s%s\n%s", argc > 1 ? " " : "",
		argc > 1 ? argv[1] : "", usage);
	return 2;
}

int main(int argc, char **argv)
{
	int status = run(argc, argv);
	fflush(stdout);
	fflush(stderr);
	_exit(status); /* handlers of libraries that were loaded are theirs, not ours */
}
