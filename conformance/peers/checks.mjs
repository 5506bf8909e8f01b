// Runs checks and prints their results: `ok NAME` or `not ok NAME WHY` for each check, separated by tabs, and `done N`
// at the end.
let done = 0;

// Runs `body`, which has 20 s.
export async function check(name, body) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer within 20 s')), 20_000);
  });
  try {
    await Promise.race([body(), late]);
    console.log(`ok\t${name}`);
  } catch (error) {
    console.log(`not ok\t${name}\t${String(error.message).replaceAll(/\s+/g, ' ').slice(0, 300)}`);
  }
  clearTimeout(timer);
  done += 1;
}

export function printDone() {
  console.log(`done\t${done}`);
}
