// Makes calls that a profile is about, and prints what the kernel says. Of the C library
// it takes nothing that makes other calls.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void print(const char *text) { (void)!write(1, text, strlen(text)); }

static void report(const char *what, long result)
{
	print(what);
	print(": ");
	print(result < 0 ? strerror(errno) : "Success");
	print("\n");
}

static long try_clone(long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid;
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		for (;;)
			syscall(SYS_pause);
		return 0;
	}
	report("mkdir", syscall(SYS_mkdir, "/out/made", 0755));
	report("clone", try_clone(0));
	report("clone(CLONE_NEWUSER)", try_clone(CLONE_NEWUSER));
	report("a call of the future", syscall(900));
	return 0;
}
