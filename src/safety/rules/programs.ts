/**
 * Rules on programs that keep data of their own: version control, containers, clouds, databases.
 *
 * @module
 */

import { type Command, type Report, type Rule, texts } from "../command.ts";
import { concat, join, render } from "../words.ts";

function words(...cases: [RegExp, Report[0], string][]): Rule {
  return ({ args }) => {
    const text = ` ${args.map(render).join(" ")} `;
    const hit = cases.find(([pattern]) => pattern.test(text));
    return hit ? [[hit[1], hit[2]]] : [];
  };
}

const gitCommands: Rule = words(
  [
    /^ push .*(--force-with-lease|--force-if-includes)/,
    "caution",
    "rewrites a branch on the server",
  ],
  [
    /^ push (.* )?(-[a-zA-Z]*f[a-zA-Z]*|--forc?e?|--mirror|--prune|\+\S+) /,
    "destructive",
    "rewrites a branch on the server, whatever it holds",
  ],
  [/^ push (.* )?(--delete|-d|:\S+) /, "caution", "deletes a branch on the server"],
  [
    /^ (reset (.* )?--har?d? |checkout (.* )?(-- )?\. |restore (.* )?\. )/,
    "destructive",
    "throws away all changes since the last commit",
  ],
  [
    /^ clean (?!.*( -[a-zA-Z]*n|--dry-run)).*( -[a-zA-Z]*f| --force)/,
    "destructive",
    "removes all files that are not in the repository",
  ],
  [
    /^ (filter-branch|filter-repo|reflog expire (.* )?--expire(-unreachable)?=(now|all)|update-ref (.* )?-d) /,
    "destructive",
    "rewrites the history",
  ],
  [
    /^ (checkout|switch) (.* )?(-f|--force|--discard-changes) /,
    "caution",
    "throws away changes that are in the way",
  ],
  [/^ stash (drop|clear) /, "destructive", "throws away stashed changes"],
  [
    /^ (branch (.* )?(-D|--delete --force)|tag (.* )?(-d|--delete)) /,
    "caution",
    "deletes a branch or a tag",
  ],
  [/^ (rebase|commit (.* )?--amend|gc (.* )?--prune=now) /, "caution", "rewrites the history"],
);

/** `git -C DIR -c KEY=VALUE push …`: the options in front do not matter. */
const git: Rule = (command) => {
  let i = 0;
  for (; i < command.args.length && /^-/.test(render(command.args[i])); i++) {
    if (/^(-C|-c|--git-dir|--work-tree|--namespace)$/.test(render(command.args[i]))) i++;
  }
  return gitCommands({ ...command, args: command.args.slice(i) });
};

const docker: Rule = words(
  [
    / system prune (.* )?(-[a-z]*a|--all|--volumes|-[a-z]*f|--force)/,
    "destructive",
    "removes all unused images, containers or volumes",
  ],
  [
    / volume (prune|rm) /,
    "destructive",
    "removes volumes with their data",
  ],
  [
    / (rm|rmi|stop|kill|container rm|image rm) .*\$\((docker|podman) (?![^)]*( -f|--filter|grep))[^)]*(ps|images|container ls|image ls) .*(-[a-z]*q|--quiet)/,
    "destructive",
    "removes all containers or images",
  ],
  [/ swarm leave .*--force/, "destructive", "takes the node out of the swarm"],
  [
    / run .*(-v|--volume)[ =]\/:|--mount[ =]\S*(source|src)=\/,/,
    "destructive",
    "gives a container the whole disk",
  ],
  [/ run .*--privileged/, "caution", "gives a container all rights"],
  [/ (rm|rmi|prune|down|kill) /, "caution", "removes containers, images or networks"],
);

const kubectl: Rule = words(
  [/ delete .*(--all|-A|--all-namespaces)( |=)/, "destructive", "deletes all resources of a kind"],
  [
    / delete (ns|namespaces?|pv|pvc|persistentvolumes?|persistentvolumeclaims?|nodes?|crd|customresourcedefinitions?)[ /]/,
    "destructive",
    "deletes what holds data or other resources",
  ],
  [/ delete .*\$\((kubectl|oc) get /, "destructive", "deletes all resources of a kind"],
  [/ drain /, "caution", "empties a node"],
  [
    / (delete|replace --force|scale .*--replicas[ =]0|rollout undo) /,
    "caution",
    "deletes or stops resources",
  ],
);

const terraform: Rule = words(
  [/ destroy |(apply|plan) .*-destroy /, "destructive", "destroys the infrastructure"],
  [
    / apply .*-auto-approve| state (rm|push) /,
    "caution",
    "changes the infrastructure without asking",
  ],
);

const cloud: Rule = words(
  [
    / s3 (rb .*--force| rb | rm .*--recursive)| s3 rm .*--recursive|s3 sync .*--delete/,
    "destructive",
    "deletes a bucket or what is in it",
  ],
  [
    / (terminate-instances|delete-(db-instance|db-cluster|volume|bucket|table|stack|cluster|snapshot|file-system|hosted-zone|user|vpc))/,
    "destructive",
    "deletes a resource of the cloud",
  ],
  [
    / (instances|projects|clusters|disks|sql|buckets|vm|group|storage|database) .*delete /,
    "destructive",
    "deletes a resource of the cloud",
  ],
  [/ -m rm |rm -r |(rb|rm) gs:/, "destructive", "deletes a bucket or what is in it"],
);

/** The statements that a database client is given, by option, operand or input. */
function statements({ args, stdin }: Command): string {
  const given = concat(join(args), ["\n"], stdin ?? []);
  return given.map((part) => typeof part === "string" ? part : "x").join("")
    .replace(/--\s[^\n]*\n|\/\*[^]*?\*\//g, " ").replace(/\s+/g, " ");
}

const sql: Rule = (command) => {
  const text = statements(command);
  if (/\bdrop (database|schema)\b/i.test(text) || /^\S* ?(-[uphPS]\S* )*drop \S+/i.test(text)) {
    return [["destructive", "drops a database"]];
  }
  if (/\bdrop (table|column|user|role|tablespace|index|view)\b/i.test(text)) {
    const own =
      /\bdrop (table|view) if exists\b[^;]*;[^]*\bcreate (temp|temporary )?(table|view)\b/i.test(
        text,
      ) ||
      /\bdrop (index|view|user|role)\b/i.test(text);
    return [[own ? "caution" : "destructive", "drops part of a database"]];
  }
  if (/\btruncate (table )?\w/i.test(text)) return [["destructive", "empties a table"]];
  if (
    /\bdelete from \S+ ?(;|"|'|$)/i.test(text) ||
    /\bupdate \S+ set (?!.*\bwhere\b)[^;]*(;|$)/i.test(text)
  ) {
    return [["destructive", "changes every row of a table"]];
  }
  return /\b(delete from|alter (table|user|role|system)|grant|revoke|update \S+ set)\b/i.test(text)
    ? [["caution", "changes a database"]]
    : [];
};

const mysqladmin: Rule = words(
  [/ drop /, "destructive", "drops a database"],
  [/ shutdown /, "caution", "stops the database"],
);

const mongo: Rule = (command) =>
  /dropDatabase|\.drop\(|deleteMany\(\{ ?\}\)|\.remove\(\{ ?\}\)/.test(statements(command))
    ? [["destructive", "drops a database or a collection"]]
    : [];

const redis: Rule = (command) =>
  /\b(flushall|flushdb|shutdown nosave)\b/i.test(statements(command))
    ? [["destructive", "empties a database"]]
    : [];

const LISTENERS = /^(-[a-zA-Z]*[ec]|--(exec|sh-exec))$/;

const netcat: Rule = ({ args }) =>
  texts(args).some((word) => LISTENERS.test(word)) &&
    /\b(ba|z|da|k)?sh\b/.test(args.map(render).join(" "))
    ? [["destructive", "hands a shell to the network"]]
    : [];

const socat: Rule = ({ args }) =>
  args.some((arg) => /^(exec|system|shell):/i.test(render(arg)))
    ? [["destructive", "hands a shell to the network"]]
    : [];

const gitHubCli: Rule = words(
  [/ repo delete /, "destructive", "deletes a repository"],
  [/ (release|secret|variable|issue|run) delete /, "caution", "deletes on GitHub"],
);

/** Rules by the name of the command. */
export const PROGRAM_RULES: Record<string, Rule> = {
  git,
  docker,
  podman: docker,
  "docker-compose": docker,
  nerdctl: docker,
  kubectl,
  oc: kubectl,
  k: kubectl,
  helm: words([/ (uninstall|delete) /, "caution", "removes a release"]),
  terraform,
  tofu: terraform,
  terragrunt: terraform,
  pulumi: words([/ destroy /, "destructive", "destroys the infrastructure"]),
  vagrant: words([/ destroy /, "destructive", "destroys a machine"]),
  virsh: words([/ (undefine|vol-delete|pool-delete) /, "destructive", "removes a machine"], [
    / destroy /,
    "caution",
    "stops a machine",
  ]),
  aws: cloud,
  gcloud: cloud,
  az: cloud,
  gsutil: cloud,
  s3cmd: words([
    / (del|rb) .*(--recursive|--force|-r)/,
    "destructive",
    "deletes a bucket or what is in it",
  ]),
  rclone: words([/ (purge|delete) /, "destructive", "deletes what is stored"], [
    / sync /,
    "caution",
    "removes what the source does not have",
  ]),
  mysql: sql,
  mariadb: sql,
  psql: sql,
  sqlite3: sql,
  sqlcmd: sql,
  "clickhouse-client": sql,
  cqlsh: sql,
  sqlplus: sql,
  mysqladmin,
  dropdb: () => [["destructive", "drops a database"]],
  dropuser: () => [["caution", "drops a user of the database"]],
  mongo,
  mongosh: mongo,
  "redis-cli": redis,
  gh: gitHubCli,
  nc: netcat,
  ncat: netcat,
  netcat,
  socat,
  etcdctl: words([/ del .*(--prefix|"")/, "destructive", "deletes keys"]),
  vault: words([/ (delete|destroy|kv metadata delete) /, "caution", "deletes a secret"]),
};
