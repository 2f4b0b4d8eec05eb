/* submit_main.c - the program cashet-submit: see client/cli. */
#include "client/cli/cli.h"

int main(int argc, char **argv)
{
	return cli_main("cashet-submit", "submit", argc > 0 ? argc - 1 : 0,
			argv + (argc > 0));
}
