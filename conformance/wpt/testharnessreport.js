// Takes the place of /resources/testharnessreport.js: keeps the results for the browser's driver.
setup({ output: false, timeout_multiplier: 3 });
add_completion_callback((tests, status) => {
  self.__results = {
    status: status.status,
    message: status.message,
    tests: tests.map((test) => [test.name, test.status, test.message]),
  };
});
