/* by_hand.h - the command `run`: one call that `cashet shell` has laid out, in this process and without a
 * worker, so that a debugger can watch it. */
#pragma once

/** by_hand_command() - the words behind `run`. Return: exit status. */
int by_hand_command(int argc, char **argv);
