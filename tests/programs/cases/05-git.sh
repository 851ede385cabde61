# git: init, add, commit, branch, merge, stash, worktree, clone, gc, fsck and bisect on a repository in FLAC.
# needs: git
export GIT_AUTHOR_DATE='2001-02-03T04:05:06Z' GIT_COMMITTER_DATE='2001-02-03T04:05:06Z' GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
git config --global user.name U
git config --global user.email u@example.org
git config --global init.defaultBranch main
git config --global gc.auto 0
git config --global protocol.file.allow always
cat "$HOME/.gitconfig"
git init -q r
cd r
for i in 1 2 3 4 5 6 7 8; do
    mkdir -p d$((i % 3))
    seq $((i * 100)) >d$((i % 3))/f$i
    echo "line $i" >>log.txt
    git add .
    git commit -qm "commit $i"
done
git log --oneline
git status --short
git rev-parse HEAD
echo change >>log.txt
rm d1/f1
echo new >untracked
git status --short
git diff
git diff --stat
git add -A
git diff --cached --name-status
git stash
git status --short
git stash list
git stash pop -q
git status --short
git commit -qam 'after stash'
git checkout -q -b side HEAD~3
echo side >side.txt
sed -i 's/^line 1$/LINE 1/' log.txt
git add .
git commit -qm side
git checkout -q main
git merge -q side -m merged 2>&1
git log --oneline --graph
git checkout -q -b conflict HEAD~1
echo x >log.txt
git commit -qam conflict
git merge main 2>&1 | tail -2
git status --short
git checkout --theirs log.txt
git add log.txt
git commit -qm resolved
git blame -s log.txt | tail -2
git show --stat HEAD~1
git tag v1
git tag -a v2 -m annotated
git describe
git mv side.txt moved.txt
git rm -q d2/f5
git commit -qm moves
git checkout -q HEAD~2 -- d2
git reset -q --hard
git ls-files -s | sha256sum
git grep -n 'line 3'
git clean -nd
git rebase -q main 2>&1 | tail -1
git cherry-pick --abort 2>&1 | head -1
git log --format='%h %s' -3
git worktree add -q ../wt side
ls ../wt
(cd ../wt && echo w >w && git add w && git commit -qm worktree && git log --oneline -1)
git worktree list | sed 's| *[0-9a-f]* \[.*||'
git worktree remove ../wt
git archive --format=tar HEAD | tar tf - | sort | head -5
git bundle create -q ../bundle --all
cd ..
git clone -q r c1
git clone -q --bare r c2.git
git clone -q --no-hardlinks r c3
git clone -q file://$PWD/r c4
git clone -q bundle c5 2>&1
git clone -q --depth 1 file://$PWD/r c6
(cd c6 && git log --oneline | wc -l)
git clone -q -s r c7
for c in c1 c3 c4 c7; do (cd $c && git fsck --full 2>&1; git log --oneline | sha256sum; git status --short); done
(cd c1 && echo pushed >p && git add p && git commit -qm pushed && git push -q origin HEAD:pushed 2>&1)
(cd r && git log --oneline -1 pushed && git gc -q --prune=now && git fsck --full && git count-objects -v | grep -v size && git reflog | wc -l)
(cd c4 && git pull -q origin pushed 2>&1 && cat p && git repack -adq && git fsck && git prune && git rev-list --objects --all | wc -l)
(cd c2.git && git fsck && git pack-refs --all && git show-ref | sort | sha256sum)
(cd c3 && git submodule add -q ../c2.git sub 2>&1 && git commit -qm sub && git submodule status | cut -c42-)
(cd r && git bisect start -q HEAD HEAD~4 >/dev/null && git bisect run sh -c 'test -f d0/f3' 2>&1 | tail -1; git bisect reset -q 2>/dev/null; git format-patch -q -2 -o ../patches && ls ../patches && git checkout -q v1 && git am -q ../patches/0001* 2>&1 | head -1; git am --abort 2>/dev/null; git status --short | head -3)
chmod -R u+w .
rm -rf c? c2.git bundle r/.git
