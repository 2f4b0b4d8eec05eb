/* main.c - the program cashet: see client/cli. */
#include "client/cli/cli.h"

int main(int argc, char **argv)
{
	return cli_main("cashet", NULL, argc > 0 ? argc - 1 : 0, argv + (argc > 0));
}
