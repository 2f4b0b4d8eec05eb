/* prepare.h - the command `prepare`: docs/runners.md, "Preparing". */
#pragma once

/** prepare_command() - the words behind `prepare`. One line of JSON to standard output.
 * Return: exit status. */
int prepare_command(int argc, char **argv);
