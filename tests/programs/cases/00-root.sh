# The root is an empty directory in which work can begin.
# roots: both
pwd
ls -A
cd .. && ls -A | sort
test -d "$ROOT" && echo directory
