# The same on both sides is not reported.
echo hello; echo world >&2; mkdir d; echo x >d/f; touch -d '2001-02-03 04:05:06' d/f; exit 3
